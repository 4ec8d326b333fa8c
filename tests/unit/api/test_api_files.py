"""Files are written straight from the body; what cannot be a file's path is refused before it is read."""

from __future__ import annotations

import httpx
import pytest

from .fakes import Fakes

ADDRESS = "containers/cnt_00000000000000000000/files"
AUTH = {"Authorization": "Bearer cgk_one"}


async def test_a_file_is_written(client: httpx.AsyncClient, fakes: Fakes) -> None:
    answer = await client.put(ADDRESS, params={"path": "a/b.bin"}, content=bytes(range(256)), headers=AUTH)
    assert (answer.status_code, answer.json()) == (200, {"path": "a/b.bin", "size": 256})
    assert fakes.files.written == {"a/b.bin": bytes(range(256))}


@pytest.mark.parametrize("path", ["", "a/", "..", "a\0b", "x" * 5000])
async def test_a_path_that_cannot_be(client: httpx.AsyncClient, fakes: Fakes, path: str) -> None:
    answer = await client.put(ADDRESS, params={"path": path}, content=b"x", headers=AUTH)
    assert (answer.status_code, answer.json()["details"]["fields"][0]["field"]) == (422, "path")
    assert fakes.files.written == {}


async def test_the_path_is_needed_and_the_key_too(client: httpx.AsyncClient) -> None:
    assert (await client.put(ADDRESS, content=b"x", headers=AUTH)).status_code == 422
    assert (await client.put(ADDRESS, params={"path": "a"}, headers={"Authorization": "Bearer no"})).status_code == 401


async def test_a_file_that_does_not_fit(client: httpx.AsyncClient) -> None:
    answer = await client.put(ADDRESS, params={"path": "a"}, content=b"x" * (2 << 20), headers=AUTH)
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
