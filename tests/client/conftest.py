"""Both clients behind one face: each test is written once, for the sync and for the async one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.servers import PYTHON_IMAGE, RunningServer

from cognitora import Cognitora, CognitoraAsync

#: What a small container is given.
SMALL: dict[str, Any] = {"image": PYTHON_IMAGE, "cpu_cores": 0.5, "memory_mb": 256, "storage_gb": 1}

MakeClient = Callable[..., Any]


class Blocking:
    """An async client, whose methods are waited for."""

    def __init__(self, target: Any, run: Callable[[Any], Any]) -> None:
        self._target = target
        self._run = run

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._target, name)
        if name in ("containers", "_transport"):
            return Blocking(value, self._run)
        if asyncio.iscoroutinefunction(value):
            return lambda *args, **kwargs: self._run(value(*args, **kwargs))
        return value


@pytest.fixture(params=["sync", "async"])
def make_client(request: pytest.FixtureRequest) -> Iterator[MakeClient]:
    """Make clients of one of the two kinds; they are closed at the end."""
    with asyncio.Runner() as runner:
        made: list[Any] = []

        def make(*args: Any, **kwargs: Any) -> Any:
            client: Any
            if request.param == "sync":
                client = Cognitora(*args, **kwargs)
            else:
                client = Blocking(CognitoraAsync(*args, **kwargs), runner.run)
            made.append(client)
            return client

        yield make
        for client in made:
            client.close()


@pytest.fixture
def client(make_client: MakeClient, server: RunningServer) -> Any:
    """A client of the shared server."""
    return make_client(server.api_key, server.base_url)
