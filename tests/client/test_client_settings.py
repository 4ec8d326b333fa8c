"""Key, address and timeout: argument, then environment, then default."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from tests.client.conftest import MakeClient
from tests.servers import RunningServer

import cognitora

NAMES = ("COGNITORA_API_KEY", "COGNITORA_BASE_URL", "COGNITORA_TIMEOUT")
KINDS = [cognitora.Cognitora, cognitora.CognitoraAsync, cognitora.Containers, cognitora.AsyncContainers]


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("kind", KINDS)
def test_where_settings_come_from(kind: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    default = kind("cgk_given")
    assert (default.api_key, default.base_url, default.timeout) == ("cgk_given", "http://127.0.0.1:8080", 30.0)
    for name, value in zip(NAMES, ("cgk_environment\n", "https://host/", "2.5"), strict=True):
        monkeypatch.setenv(name, value)
    environment = kind()
    assert (environment.api_key, environment.base_url, environment.timeout) == ("cgk_environment", "https://host", 2.5)
    given = kind("cgk_given", "http://other:1", 7)
    assert (given.api_key, given.base_url, given.timeout) == ("cgk_given", "http://other:1", 7)
    assert "cgk_" not in repr(given)
    assert repr(given) == f"{kind.__name__}(base_url='http://other:1')"


def test_without_a_key_it_is_said_how_to_get_one() -> None:
    with pytest.raises(ValueError, match=r"COGNITORA_API_KEY.*cognitora keys create NAME") as caught:
        cognitora.Cognitora()
    assert isinstance(caught.value, cognitora.ConfigurationError)


@pytest.mark.parametrize("key", ["two words", "kéy", "a\nb", " \n"])
def test_a_key_that_can_be_none(key: str) -> None:
    with pytest.raises(cognitora.ConfigurationError, match="key"):
        cognitora.Cognitora(key)


@pytest.mark.parametrize(
    "url", ["host:8080", "ftp://host", "http://", "http://host:port", "http://u:p@host", "http://host/?a=b"]
)
def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(cognitora.ConfigurationError, match="COGNITORA_BASE_URL"):
        cognitora.Cognitora("cgk_key", url)


@pytest.mark.parametrize("seconds", ["soon", "0", "-1", "nan", "inf"])
def test_a_timeout_that_is_none(seconds: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COGNITORA_TIMEOUT", seconds)
    with pytest.raises(cognitora.ConfigurationError, match="COGNITORA_TIMEOUT"):
        cognitora.Cognitora("cgk_key")


def test_the_environment_alone_is_enough(
    make_client: MakeClient, server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COGNITORA_API_KEY", server.api_key)
    monkeypatch.setenv("COGNITORA_BASE_URL", server.base_url)
    assert make_client().containers.estimate_cost(1, 1024).estimated_credits > 0


def test_every_client_is_a_context_manager(server: RunningServer) -> None:
    with cognitora.Containers(server.api_key, server.base_url) as containers:
        assert containers.estimate_cost(1, 1024).estimated_credits > 0
    with cognitora.Cognitora(server.api_key, server.base_url, 20) as client:
        assert client.containers.list_containers(limit=1).limit == 1
    with pytest.raises(RuntimeError, match="closed"):
        client.containers.list_containers()

    async def use() -> None:
        async with cognitora.AsyncContainers(server.api_key, server.base_url) as containers:
            assert (await containers.estimate_cost(1, 1024)).estimated_credits > 0
        async with await client.async_client() as twin:
            assert (twin.api_key, twin.base_url, twin.timeout) == (server.api_key, server.base_url, 20)
            assert (await twin.containers.list_containers(limit=1)).limit == 1

    asyncio.run(use())
