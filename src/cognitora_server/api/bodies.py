"""Request bodies: read within limits, parsed once, off the event loop when they are large."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from io import BytesIO
from typing import Any, TypeVar

import jiter
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ..domain.errors import CognitoraError, InvalidRequest, TooLarge
from .answers import JsonAnswer
from .errors import BodyTimeout, Busy, error_answer, request_id_of
from .json_faults import fault_of
from .relaxed_json import plain_json
from .schemas.base import WireRequest
from .validation import checked, validate

MIB = 1 << 20

#: Bodies up to this size are always taken in: a few large uploads must not lock everyone else out.
SMALL_BODY_BYTES = 64 * 1024
#: Beyond this, parsing moves to a thread.
LARGE_BODY_BYTES = MIB
#: Comments are for people, and people write small bodies; so a hostile body cannot buy much work with them.
COMMENTED_BODY_BYTES = 2 * MIB
#: A body must come at least this fast, after a grace: the room it takes is shared.
GRACE_SECONDS = 60
MINIMUM_BYTES_PER_SECOND = 64 * 1024

Wanted = TypeVar("Wanted", bound=WireRequest)
Result = TypeVar("Result")


class RefusedBody(CognitoraError):
    """A body that is not read to its end; `cause` says why."""

    def __init__(self, cause: CognitoraError) -> None:
        super().__init__(cause.message, **cause.details)
        self.cause = cause


class Body:
    """A body as it came. `parse` gives up the bytes, so that memory holds a large one only once."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw

    async def fingerprint(self, *context: str) -> str:
        """Return a hash of the body and its context (method and path)."""
        hashed: str = await _aside(len(self._raw), _fingerprint, self._raw, context)
        return hashed

    async def parse(self, model: type[Wanted], convert: Callable[[Wanted], Result]) -> Result:
        """Return the body, read as `model` and converted; raises InvalidRequest with every field that is wrong."""
        size = len(self._raw)
        holder, self._raw = [self._raw], b""
        result: Result = await _aside(size, _parse, holder, model, convert)
        return result


class Bodies:
    """Takes in bodies, each and all together within limits."""

    def __init__(self, max_bytes: int, max_inflight_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.max_inflight_bytes = max_inflight_bytes
        self.inflight_bytes = 0

    @asynccontextmanager
    async def read(self, request: Request) -> AsyncIterator[Body]:
        """Read the body and count it until the request is done, for what it carries lives as long.

        Raises RefusedBody (too large, too slow, no room now) and ClientDisconnect.
        """
        reserved = 0
        try:
            expected = content_length(request)
            if expected is not None:
                reserved = self._reserve(expected, 0)
            allowed = GRACE_SECONDS + (expected or self.max_bytes) / MINIMUM_BYTES_PER_SECOND
            buffer = BytesIO()
            try:
                async with asyncio.timeout(allowed):
                    async for chunk in chunks(request):
                        buffer.write(chunk)
                        reserved = self._reserve(buffer.tell(), reserved)
            except TimeoutError:
                raise RefusedBody(BodyTimeout()) from None
            yield Body(_take(buffer))
        finally:
            self.inflight_bytes -= reserved

    def _reserve(self, size: int, reserved: int) -> int:
        """Make room for `size` bytes where `reserved` are held; returns what is held then."""
        if size <= reserved:
            return reserved
        if size > self.max_bytes:
            raise RefusedBody(
                TooLarge(
                    f"The request's body is larger than the {self.max_bytes} bytes this server accepts.",
                    max_body_bytes=self.max_bytes,
                )
            )
        if size > SMALL_BODY_BYTES and self.inflight_bytes - reserved + size > self.max_inflight_bytes:
            raise RefusedBody(Busy(retry_after_seconds=5))
        self.inflight_bytes += size - reserved
        return size


class RefusedAnswer(JsonAnswer):
    """The answer to a body that was not read: it is sent at once, and the connection closed after it.

    A client that is still writing would get a reset and never see the answer, so what it sends is read and
    dropped for a short while first.
    """

    linger_seconds = 10.0
    linger_bytes = 512 * MIB

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer, drop the rest of the body, end."""
        self.headers["Connection"] = "close"
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        # Who asked first (Expect: 100-continue) has the answer and sends no body.
        if not any(name == b"expect" for name, _ in scope["headers"]):
            await self._drop_rest(receive)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _drop_rest(self, receive: Receive) -> None:
        dropped, more = 0, True
        try:
            async with asyncio.timeout(self.linger_seconds):
                while more and dropped < self.linger_bytes:
                    message = await receive()
                    dropped += len(message.get("body", b""))
                    more = message.get("more_body", False)
        except TimeoutError:
            return


async def on_refused_body(request: Request, error: Exception) -> Response:
    """Handle a body that was not read to its end."""
    assert isinstance(error, RefusedBody)
    answer = error_answer(error.cause, request_id_of(request))
    headers = {name: value for name, value in answer.headers.items() if name == "retry-after"}
    return RefusedAnswer(bytes(answer.body), answer.status_code, headers)


def content_length(request: Request) -> int | None:
    """Return the length that the request announces, if it does. Raises RefusedBody for what makes no sense."""
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding != "identity":
        message = "The body has a Content-Encoding; send it as it is, without compression."
        raise RefusedBody(InvalidRequest(message, field="Content-Encoding"))
    text = request.headers.get("content-length")
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise RefusedBody(InvalidRequest("The Content-Length header is not a number.", field="Content-Length"))
    return int(text)


async def chunks(request: Request) -> AsyncIterator[bytes]:
    """Yield the body as it comes. Raises ClientDisconnect."""
    more = True
    while more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        more = message.get("more_body", False)
        yield message.get("body", b"")


def _take(buffer: BytesIO) -> bytes:
    # getvalue hands over the bytes without copying them.
    raw = buffer.getvalue()
    buffer.close()
    return raw


async def _aside(size: int, work: Any, *arguments: Any) -> Any:
    if size > LARGE_BODY_BYTES:
        return await asyncio.to_thread(work, *arguments)
    return work(*arguments)


def _fingerprint(raw: bytes, context: tuple[str, ...]) -> str:
    digest = hashlib.sha256("\0".join((*context, "")).encode("utf-8", "replace"))
    digest.update(raw)
    return digest.hexdigest()


def _parse(holder: list[bytes], model: type[Wanted], convert: Callable[[Wanted], Result]) -> Result:
    wanted = validate(model, parse_json(holder.pop()))
    return checked(lambda: convert(wanted))


def parse_json(raw: bytes) -> Any:
    """Return the JSON value in `raw`; comments and trailing commas are accepted. Raises InvalidRequest."""
    raw = raw.removeprefix(b"\xef\xbb\xbf")
    if not raw or raw.isspace():
        raise InvalidRequest("The request has no body; send a JSON object.")
    try:
        return _load(raw)
    except ValueError as error:
        problem = error
    if len(raw) <= COMMENTED_BODY_BYTES:
        raw = plain_json(raw)
        try:
            return _load(raw)
        except ValueError as error:
            problem = error
    raise _not_json(raw, str(problem)) from None


def _not_json(raw: bytes, problem: str) -> InvalidRequest:
    fault = fault_of(raw)
    if fault is None:
        return InvalidRequest(f"The request's body is not valid JSON: {problem[:200]}.")
    field, message = fault[0] or "body", fault[1]
    return InvalidRequest(f"{field} {message}.", fields=[{"field": field, "message": message}])


def _load(raw: bytes) -> Any:
    # jiter, because it refuses duplicate keys, NaN, bad UTF-8 and deep nesting, and is the fastest on large strings.
    return jiter.from_json(raw, catch_duplicate_keys=True, allow_inf_nan=False, cache_mode="keys")
