"""Talks to the guest agent of one sandbox over its socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import orjson

from cognitora_server.domain.errors import GuestError, GuestUnreachable

from .activity import Counts, counts_of
from .frames import Frame, read_frames
from .process import ProcessSpec

PROTOCOL = "1"

_BASE = "http://guest/v1"
_GOOD = (200, 201, 204)
_MAX_ANSWER = 1 << 20
_QUICK = aiohttp.ClientTimeout(total=30, sock_connect=5)
_FOLLOW = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=60)  # keepalives come every 15 s
_UPLOAD = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=300)
_MAX_MESSAGE = 500


class GuestClient:
    """The verbs of the guest protocol. Raises GuestError (the guest's own word in `guest_code`) or GuestUnreachable."""

    def __init__(self, socket_path: str) -> None:
        """Connect, when first needed, to the agent behind `socket_path`."""
        connector = aiohttp.UnixConnector(socket_path, limit=0, keepalive_timeout=300)
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            json_serialize=lambda value: orjson.dumps(value).decode(),
            auto_decompress=False,
        )

    async def close(self) -> None:
        """Close the connections. What runs inside goes on. Idempotent."""
        await self._session.close()

    async def ping(self, timeout_seconds: float) -> None:
        """Return when the agent has answered. Raises GuestUnreachable after the timeout."""
        await self._ask("/health", timeout_seconds)

    async def activity(self, timeout_seconds: float) -> Counts:
        """Return what went on inside so far. Raises GuestUnreachable after the timeout."""
        return counts_of((await self._ask("/stats", timeout_seconds)).get("activity"))

    async def _ask(self, path: str, timeout_seconds: float) -> dict[str, Any]:
        try:
            async with asyncio.timeout(timeout_seconds):
                return await self._call("GET", path)
        except TimeoutError as error:
            raise GuestUnreachable(f"The guest agent did not answer within {timeout_seconds:g} s.") from error

    @asynccontextmanager
    async def run(self, spec: ProcessSpec) -> AsyncIterator[AsyncIterator[Frame]]:
        """Start a process, unless the id is known already, and follow its output and end."""
        async with self._request("POST", "/processes?follow=true", timeout=_FOLLOW, json=spec.body()) as response:
            yield read_frames(response.content)

    @asynccontextmanager
    async def follow(self, process_id: str, offset: int = 0) -> AsyncIterator[AsyncIterator[Frame]]:
        """Follow the output of a process from an offset on, and its end."""
        path = f"/processes/{process_id}/output?follow=true&offset={offset}"
        async with self._request("GET", path, timeout=_FOLLOW) as response:
            yield read_frames(response.content)

    async def forget(self, process_id: str) -> None:
        """Free the output of a process that has ended. Gone already is no error."""
        try:
            await self._call("DELETE", f"/processes/{process_id}")
        except GuestError as error:
            if error.guest_code != "not_found":
                raise

    async def signal(self, process_id: str, name: str) -> None:
        """Send a signal to a process and all its descendants."""
        await self._call("POST", f"/processes/{process_id}/signal", json={"signal": name, "tree": True})

    async def write_file(
        self, path: str, content: bytes = b"", *, cwd: str = "/", user: str = "", source: str | None = None
    ) -> None:
        """Write a file, whole or not at all; `source` names a file of the inbox to take the content from."""
        query = {"path": path, "cwd": cwd, "user": user}
        if source is not None:
            query["source"] = source
        await self._call("PUT", "/files", timeout=_UPLOAD, params=query, data=None if source else content)

    async def _call(self, method: str, path: str, timeout: aiohttp.ClientTimeout = _QUICK, **kw: Any) -> dict[str, Any]:
        async with self._request(method, path, timeout=timeout, **kw) as response:
            return await _json(response)

    @asynccontextmanager
    async def _request(self, method: str, path: str, **kw: Any) -> AsyncIterator[aiohttp.ClientResponse]:
        try:
            async with self._session.request(method, _BASE + path, allow_redirects=False, **kw) as response:
                _check_protocol(response)
                if response.status not in _GOOD:
                    raise _error(response.status, await _json(response))
                yield response
        except (aiohttp.ClientError, OSError, RuntimeError) as error:  # RuntimeError: the session was closed meanwhile
            raise GuestUnreachable(f"The guest agent does not answer: {error!r:.200}") from error


def _check_protocol(response: aiohttp.ClientResponse) -> None:
    if response.headers.get("Cognitora-Guest-Protocol") != PROTOCOL:
        raise GuestError("The guest agent speaks another version of the protocol.", guest_code="protocol")


async def _json(response: aiohttp.ClientResponse) -> dict[str, Any]:
    body = bytearray()
    async for chunk in response.content.iter_chunked(64 * 1024):
        body += chunk
        if len(body) > _MAX_ANSWER:
            raise GuestError("The guest agent's answer is too long.", guest_code="bad_answer")
    try:
        value = orjson.loads(body) if body else {}
    except orjson.JSONDecodeError as error:
        raise GuestError("The guest agent's answer is not JSON.", guest_code="bad_answer") from error
    if not isinstance(value, dict):
        raise GuestError("The guest agent's answer is not an object.", guest_code="bad_answer")
    return value


def _error(status: int, body: Mapping[str, Any]) -> GuestError:
    message = str(body.get("error", f"The guest agent answered with status {status}."))[:_MAX_MESSAGE]
    return GuestError(message, guest_code=str(body.get("code", "guest_error"))[:64])
