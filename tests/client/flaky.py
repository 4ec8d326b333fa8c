"""A real HTTP server on loopback that answers as it is told: errors, silence, broken connections."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

#: Close the connection without an answer.
DROP = "drop"
#: Answer only once `release` is called, or the server is stopped.
STALL = "stall"


@dataclass(frozen=True)
class Answer:
    """What one request is answered with."""

    status: int = 200
    body: bytes = b'{"id": "cnt_1", "status": "RUNNING"}'
    headers: dict[str, str] = field(default_factory=dict)


def error(status: int, headers: dict[str, str] | None = None, **fields: Any) -> Answer:
    """Return an error as the API answers it."""
    body = {"error": "It is so.", "code": "so", "request_id": "req_1", "details": {}} | fields
    return Answer(status, json.dumps(body).encode(), headers or {})


@dataclass(frozen=True)
class Seen:
    """A request that came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class FlakyServer:
    """Answers one request after the other with what `script` holds; then always with success."""

    def __init__(self) -> None:
        self.script: list[Answer | str] = []
        self.seen: list[Seen] = []
        self._lock = threading.Lock()
        self._released = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _any(self) -> None:
                outer._handle(self)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _any

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self.base_url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def release(self) -> None:
        """Let the stalled requests be answered."""
        self._released.set()

    def _handle(self, request: BaseHTTPRequestHandler) -> None:
        body = _body(request)
        with self._lock:
            self.seen.append(Seen(request.command, request.path, dict(request.headers.items()), body))
            what = self.script.pop(0) if self.script else Answer()
        if what == DROP:
            request.close_connection = True
            return
        if what == STALL:
            self._released.wait()
        answer = what if isinstance(what, Answer) else Answer()
        try:
            request.send_response(answer.status)
            for name, value in {"Content-Length": str(len(answer.body)), **answer.headers}.items():
                request.send_header(name, value)
            request.end_headers()
            request.wfile.write(answer.body)
        except OSError:
            request.close_connection = True


def _body(request: BaseHTTPRequestHandler) -> bytes:
    if request.headers.get("Transfer-Encoding") != "chunked":
        return request.rfile.read(int(request.headers.get("Content-Length", 0)))
    parts = []
    while size := int(request.rfile.readline(), 16):
        parts.append(request.rfile.read(size))
        request.rfile.readline()
    request.rfile.readline()
    return b"".join(parts)
