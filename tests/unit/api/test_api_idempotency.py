"""Idempotency-Key: once done, answered again; never done twice."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from cognitora_server.domain.errors import Conflict

from .fakes import Claim, Fakes

CREATE: dict[str, Any] = {"image": "python:3.11", "cpuCores": 1, "memoryMb": 512, "maxCostCredits": 10}
KEY = {"Idempotency-Key": "key-1"}


async def test_the_first_answer_comes_again(client: httpx.AsyncClient, fakes: Fakes) -> None:
    first = await client.post("containers", json=CREATE, headers=KEY)
    again = await client.post("containers", json=CREATE, headers=KEY)
    assert (again.status_code, again.content) == (201, first.content)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.headers["Content-Type"] == "application/json"
    assert "Idempotency-Replayed" not in first.headers
    assert len(fakes.containers.requests) == 1


async def test_every_post_takes_one(client: httpx.AsyncClient, fakes: Fakes) -> None:
    container = fakes.add_container()
    calls: list[tuple[str, dict[str, Any]]] = [
        ("containers", CREATE),
        (f"containers/{container.id}/exec", {"command": ["ls"]}),
        ("estimate", {"cpuCores": 1, "memoryMb": 64}),
    ]
    for number, (address, body) in enumerate(calls):
        headers = {"Idempotency-Key": f"k{number}"}
        first = await client.post(address, json=body, headers=headers)
        again = await client.post(address, json=body, headers=headers)
        assert first.content == again.content
        assert again.headers["Idempotency-Replayed"] == "true"
    assert len(fakes.executions.requests) == 1


async def test_another_request_with_the_key_is_refused(client: httpx.AsyncClient, fakes: Fakes) -> None:
    container = fakes.add_container()
    await client.post("containers", json=CREATE, headers=KEY)
    other_body = await client.post("containers", json={**CREATE, "memoryMb": 1024}, headers=KEY)
    other_path = await client.post(f"containers/{container.id}/exec", json={"command": ["ls"]}, headers=KEY)
    for answer in (other_body, other_path):
        assert (answer.status_code, answer.json()["code"]) == (409, "idempotency_conflict")
    assert len(fakes.containers.requests) == 1


async def test_accounts_do_not_share_keys(client: httpx.AsyncClient, fakes: Fakes) -> None:
    await client.post("containers", json=CREATE, headers=KEY)
    answer = await client.post("containers", json=CREATE, headers={**KEY, "Authorization": "Bearer cgk_two"})
    assert "Idempotency-Replayed" not in answer.headers
    assert len(fakes.containers.requests) == 2


async def test_a_refusal_of_the_control_layer_is_kept(client: httpx.AsyncClient, fakes: Fakes) -> None:
    fakes.containers.error = Conflict("Not now.")
    first = await client.post("containers", json=CREATE, headers=KEY)
    fakes.containers.error = None
    again = await client.post("containers", json=CREATE, headers=KEY)
    assert (first.status_code, again.status_code) == (409, 409)
    assert again.content == first.content


@pytest.mark.parametrize("error", [RuntimeError("x"), OSError("y")])
async def test_a_failure_is_forgotten(client: httpx.AsyncClient, fakes: Fakes, error: Exception) -> None:
    fakes.containers.error = error
    assert (await client.post("containers", json=CREATE, headers=KEY)).status_code == 500
    assert fakes.idempotency.answers == {}
    fakes.containers.error = None
    answer = await client.post("containers", json=CREATE, headers=KEY)
    assert answer.status_code == 201
    assert "Idempotency-Replayed" not in answer.headers


async def test_a_wrong_body_does_not_use_the_key_up(client: httpx.AsyncClient, fakes: Fakes) -> None:
    assert (await client.post("containers", json={}, headers=KEY)).status_code == 422
    assert fakes.idempotency.answers == {}
    assert (await client.post("containers", json=CREATE, headers=KEY)).status_code == 201


@pytest.mark.parametrize("key", [b"", b"x" * 256, b"\xe9", b"a\tb", b"\x7f"])
async def test_a_wrong_key(client: httpx.AsyncClient, fakes: Fakes, key: bytes) -> None:
    answer = await client.post("containers", json=CREATE, headers=[(b"Idempotency-Key", key)])
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert "Idempotency-Key" in answer.json()["error"]
    assert fakes.containers.requests == []


async def test_two_keys_are_one_too_many(client: httpx.AsyncClient) -> None:
    answer = await client.post(
        "containers", json=CREATE, headers=[(b"Idempotency-Key", b"a"), (b"Idempotency-Key", b"b")]
    )
    assert answer.status_code == 422


@pytest.mark.parametrize("key", ["x", "y" * 255, "with space", "{}~!"])
async def test_a_valid_key(client: httpx.AsyncClient, key: str) -> None:
    assert (await client.post("containers", json=CREATE, headers={"Idempotency-Key": key})).status_code == 201


async def test_other_methods_ignore_the_header(client: httpx.AsyncClient, fakes: Fakes) -> None:
    container = fakes.add_container()
    for _ in range(2):
        answer = await client.patch(f"containers/{container.id}", json={"timeoutSeconds": 5}, headers=KEY)
        assert "Idempotency-Replayed" not in answer.headers
    assert len(fakes.containers.updates) == 2


async def test_what_an_interrupted_request_made_is_not_made_again(client: httpx.AsyncClient, fakes: Fakes) -> None:
    container = fakes.add_container()
    for address, body in (("containers", CREATE), (f"containers/{container.id}/exec", {"command": ["ls"]})):
        first = await client.post(address, json=body, headers=KEY)
        ((fingerprint, _),) = fakes.idempotency.answers.values()
        made = first.json().get("executionId") or first.json()["id"]
        fakes.idempotency.answers["acc_1", "key-1"] = (fingerprint, Claim(made=made))
        again = await client.post(address, json=body, headers=KEY)
        assert (again.status_code, again.content) == (first.status_code, first.content)
        assert again.headers["Idempotency-Replayed"] == "true"
        kept = await client.post(address, json=body, headers=KEY)
        assert kept.content == first.content
        fakes.idempotency.answers.clear()
    assert (len(fakes.containers.requests), len(fakes.executions.requests)) == (1, 1)
