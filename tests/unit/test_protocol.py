"""Connections on which nothing, or only half a request, comes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvicorn

from cognitora_server import protocol

_WHOLE = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


async def _app(scope: Any, receive: Any, send: Any) -> None:
    await asyncio.sleep(0.5)  # longer than a head may take: an answer may take its time
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@pytest.fixture
async def port(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    """A server that waits for a head for a fifth of a second, and between requests for long."""
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.2)
    config = uvicorn.Config(_app, http=protocol.HttpProtocol, lifespan="off", log_config=None, timeout_keep_alive=60)
    config.load()
    server = uvicorn.Server(config)
    loop = asyncio.get_running_loop()
    listening = await loop.create_server(lambda: protocol.HttpProtocol(config, server.server_state, {}), "127.0.0.1", 0)
    async with listening:
        yield listening.sockets[0].getsockname()[1]
        while server.server_state.connections:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("sent", [b"", b"GET / HT", _WHOLE[:-2]])
async def test_a_head_that_does_not_come_ends_the_connection(port: int, sent: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    assert await asyncio.wait_for(reader.read(), 30) == b""
    writer.close()
    await writer.wait_closed()


async def test_a_connection_in_use_lives_on(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(2):
        writer.write(_WHOLE)
        assert (await asyncio.wait_for(reader.readuntil(b"\r\n\r\nok"), 30)).startswith(b"HTTP/1.1 200")
        await asyncio.sleep(0.5)
    writer.close()
    await writer.wait_closed()
