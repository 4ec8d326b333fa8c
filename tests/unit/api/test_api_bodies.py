"""Bodies within limits: refused early, read late, parsed off the event loop."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import threading
import time
from collections.abc import AsyncIterator, Iterable
from typing import Any

import httpx
import pytest
from starlette.types import Message

from cognitora_server.api import bodies, create_app
from cognitora_server.api.validation import validate
from cognitora_server.settings import MIB

from .fakes import Fakes

CREATE = {"image": "python:3.11", "cpuCores": 1, "memoryMb": 512, "maxCostCredits": 10}
ADDRESS = "/api/v1/compute/containers"


class Connection:
    """One request, message by message, as a server hands it to the app."""

    def __init__(self, app: Any, chunks: Iterable[bytes], *, path: str = ADDRESS, **headers: str) -> None:
        self._app = app
        self._chunks = iter(chunks)
        self._next: bytes | None = next(self._chunks, b"")
        self.read = 0
        self.sent: list[Message] = []
        self.gone = False
        names = {"authorization": "Bearer cgk_one", **headers}
        self._scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "POST",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in names.items()],
            "scheme": "http",
            "server": ("test", 80),
            "client": ("test", 1),
        }

    async def receive(self) -> Message:
        await asyncio.sleep(0)
        if self.gone or self._next is None:
            return {"type": "http.disconnect"}
        chunk, self._next = self._next, next(self._chunks, None)
        self.read += len(chunk)
        return {"type": "http.request", "body": chunk, "more_body": self._next is not None}

    async def send(self, message: Message) -> None:
        self.sent.append(message)

    async def run(self) -> tuple[int, dict[str, Any]]:
        await self._app(self._scope, self.receive, self.send)
        return self.answer()

    def answer(self) -> tuple[int, dict[str, Any]]:
        body = b"".join(message.get("body", b"") for message in self.sent[1:])
        return self.sent[0]["status"], json.loads(body)


async def test_too_large_by_its_length_is_refused_before_it_is_read(fakes: Fakes) -> None:
    app = create_app(fakes.services(max_body_bytes=MIB))
    size = 40 * MIB
    connection = Connection(app, [b"x" * MIB] * 40, content_length=str(size))
    running = asyncio.ensure_future(connection.run())
    while len(connection.sent) < 2:
        await asyncio.sleep(0)
    assert connection.read <= MIB
    status, body = await running
    assert (status, body["code"], body["details"]) == (413, "too_large", {"max_body_bytes": MIB})
    assert (b"connection", b"close") in connection.sent[0]["headers"]
    assert app.state.bodies.inflight_bytes == 0


async def test_too_large_in_chunks_is_refused_while_it_comes(fakes: Fakes) -> None:
    app = create_app(fakes.services(max_body_bytes=MIB))

    def chunks() -> Iterable[bytes]:
        for _ in range(20):
            yield b" " * (MIB // 4)

    connection = Connection(app, chunks())
    status, body = await connection.run()
    assert (status, body["code"]) == (413, "too_large")
    assert app.state.bodies.inflight_bytes == 0


async def test_a_body_of_the_largest_size_is_taken(fakes: Fakes) -> None:
    app = create_app(fakes.services(max_body_bytes=MIB))
    text = json.dumps(CREATE).encode()
    body = text + b" " * (MIB - len(text))
    for headers in ({}, {"content_length": str(len(body))}):
        status, _ = await Connection(app, [body[: MIB // 2], body[MIB // 2 :]], **headers).run()
        assert status == 201


async def test_all_bodies_together_are_limited(fakes: Fakes) -> None:
    app = create_app(fakes.services(max_inflight_body_bytes=MIB))
    fakes.executions.gate = asyncio.Event()
    path = f"{ADDRESS}/{fakes.add_container().id}/exec"
    text = json.dumps({"command": ["ls"]}).encode()
    large = text + b" " * (600_000 - len(text))
    first = asyncio.ensure_future(Connection(app, [large], path=path, content_length="600000").run())
    while not fakes.executions.requests:
        await asyncio.sleep(0)
    second = Connection(app, [large], path=path)
    status, body = await second.run()
    assert (status, body["code"]) == (503, "busy")
    assert dict(second.sent[0]["headers"])[b"retry-after"] == b"5"
    # Small ones are always taken.
    fakes.executions.gate.set()
    assert (await Connection(app, [text], path=path).run())[0] == 200
    assert (await first)[0] == 200
    assert (await Connection(app, [large], path=path).run())[0] == 200
    assert app.state.bodies.inflight_bytes == 0


async def test_without_a_key_nothing_is_read(fakes: Fakes) -> None:
    app = create_app(fakes.services())
    connection = Connection(app, [b"x" * 1000] * 3, authorization="Bearer wrong")
    assert (await connection.run())[0] == 401
    assert connection.read == 0


async def test_a_compressed_body_is_refused(fakes: Fakes) -> None:
    status, body = await Connection(create_app(fakes.services()), [b"x"], content_encoding="gzip").run()
    assert (status, body["code"]) == (422, "invalid_request")
    assert "Content-Encoding" in body["error"]


async def test_a_body_that_comes_too_slowly_is_refused(fakes: Fakes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "GRACE_SECONDS", 0.0)
    monkeypatch.setattr(bodies, "MINIMUM_BYTES_PER_SECOND", 1 << 50)
    app = create_app(fakes.services())
    status, body = await Connection(app, [b"x"] * 1000).run()
    assert (status, body["code"]) == (408, "body_timeout")
    assert app.state.bodies.inflight_bytes == 0


async def test_a_client_that_goes_away_in_its_body(fakes: Fakes) -> None:
    app = create_app(fakes.services())
    connection = Connection(app, [b'{"a":', b"1}"])
    connection.gone = True
    await app(connection._scope, connection.receive, connection.send)
    assert connection.sent == []
    assert app.state.bodies.inflight_bytes == 0


async def test_an_execution_goes_on_when_its_client_goes_away(fakes: Fakes) -> None:
    app = create_app(fakes.services())
    fakes.executions.gate = asyncio.Event()
    connection = Connection(app, [b'{"command": ["ls"]}'], path=f"{ADDRESS}/{fakes.add_container().id}/exec")
    running = asyncio.ensure_future(connection.run())
    while not fakes.executions.requests:
        await asyncio.sleep(0)
    connection.gone = True
    for _ in range(10):
        await asyncio.sleep(0)
    assert not running.done()
    fakes.executions.gate.set()
    assert (await running)[0] == 200
    assert fakes.executions.finished == 1
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.parametrize("encoding", ["string", "base64"])
async def test_a_large_file_is_fast_and_leaves_the_event_loop_alone(
    fakes: Fakes, encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = create_app(fakes.services())
    content = os.urandom(30 * MIB) if encoding == "base64" else b"0123456789abcdef" * (30 * MIB // 16)
    text = (base64.b64encode(content) if encoding == "base64" else content).decode()
    file = {"name": "a", "content": text, "encoding": encoding}
    body = json.dumps({"command": ["ls"], "files": [file]}).encode()
    chunks = [body[start : start + 65536] for start in range(0, len(body), 65536)]
    path = f"{ADDRESS}/{fakes.add_container().id}/exec"
    parsed_in: list[threading.Thread] = []

    def watched(*arguments: Any) -> Any:
        parsed_in.append(threading.current_thread())
        return validate(*arguments)

    monkeypatch.setattr(bodies, "validate", watched)
    started = time.perf_counter()
    status, _ = await Connection(app, chunks, path=path, content_length=str(len(body))).run()
    assert status == 200
    assert parsed_in
    assert threading.main_thread() not in parsed_in
    assert time.perf_counter() - started < 3
    assert fakes.executions.requests[0].files[0].content == content


async def test_chunked_requests_of_a_real_client(client: httpx.AsyncClient) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for byte in json.dumps(CREATE).encode():
            yield bytes([byte])

    assert (await client.post("containers", content=chunks())).status_code == 201


async def test_this_layer_is_fast(fakes: Fakes) -> None:
    app = create_app(fakes.services())
    path = f"{ADDRESS}/{fakes.add_container().id}/exec"
    best = 1.0
    for _ in range(50):
        started = time.perf_counter()
        await Connection(app, [b'{"command": ["echo", "hi"]}'], path=path).run()
        best = min(best, time.perf_counter() - started)
    assert best < 0.002
