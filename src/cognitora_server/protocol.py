"""HTTP on a connection: uvicorn's, with our answers to what is no request, and heads within limits."""

from __future__ import annotations

import asyncio

from starlette.responses import Response
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from cognitora_server.api.middleware import head_too_large_answer, not_http_answer

#: A request's line and headers, and whatever else stands between two pieces of its body. Beyond it a request is refused
#: when the next piece comes, which is at most 256 KiB.
MAX_HEAD_BYTES = 64 * 1024
#: So long may a request's head take, from the connection or its first byte on. (uvicorn waits for ever.)
HEAD_SECONDS = 30.0


class HttpProtocol(HttpToolsProtocol):
    """Answers what never gets to the API as the API answers everything: in JSON, with a request id."""

    #: What has come since the parser last got anywhere: all of it is in memory.
    _unparsed = 0
    _head_overdue: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin a connection."""
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """End a connection."""
        self._end_wait()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take in what has come."""
        if self._answered():
            self._await_head()
        self._unparsed += len(data)
        if self._unparsed <= MAX_HEAD_BYTES + len(data):
            super().data_received(data)
        elif self._answered():
            self._refuse(b"431 Request Header Fields Too Large", head_too_large_answer(MAX_HEAD_BYTES))
        else:
            self.transport.close()  # an answer is on its way: no other can be put into it

    def on_headers_complete(self) -> None:
        """Begin a request."""
        self._unparsed = 0
        self._end_wait()
        super().on_headers_complete()

    def on_chunk_header(self) -> None:
        """Begin a piece of a body that comes in chunks."""
        self._unparsed = 0

    def on_body(self, body: bytes) -> None:
        """Take in a piece of a body."""
        self._unparsed = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request."""
        self._unparsed = 0
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP."""
        self._refuse(b"400 Bad Request", not_http_answer())

    def _answered(self) -> bool:
        """Tell whether no request is at work: what comes is a new one's head."""
        return getattr(self.cycle, "response_complete", True)  # there is no cycle before the first request

    def _await_head(self) -> None:
        if self._head_overdue is None:
            self._head_overdue = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _end_wait(self) -> None:
        if self._head_overdue is not None:
            self._head_overdue.cancel()
            self._head_overdue = None

    def _refuse(self, status: bytes, answer: Response) -> None:
        head = [b"HTTP/1.1 " + status, *(name + b": " + value for name, value in answer.raw_headers)]
        self.transport.write(b"\r\n".join([*head, b"connection: close", b"", bytes(answer.body)]))
        self.transport.close()
