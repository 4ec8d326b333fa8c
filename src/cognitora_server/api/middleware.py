"""What every request goes through: it gets an id, an answer of the one form whatever happens, and a line in the log."""

from __future__ import annotations

import logging
import re
import time
from typing import Any

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..domain.ids import REQUEST, new_id
from .answers import JsonAnswer
from .auditing import finish_audit
from .errors import error_body, unexpected_answer
from .record import RequestRecord, container_of, remote_address, route_of

logger = logging.getLogger("cognitora.api")
access = logging.getLogger("cognitora.access")

REQUEST_ID = "X-Request-Id"
_VALID_ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")

#: The status, in log and metrics only, of a request whose client went away before it could be answered.
_CLIENT_GONE = 499
#: Asked so often, by machines, that they would drown the rest.
_QUIET = frozenset({"/health", "/ready", "/metrics"})


class RequestContext:
    """Gives each request its id (the caller's own, if it has a valid one) and answers unexpected errors.

    Plain ASGI: a handler is never cancelled because its client went away, so an exec goes on to its end.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        record = RequestRecord(_request_id(scope), remote_address(scope))
        scope.setdefault("state", {}).update(record=record, request_id=record.request_id)
        structlog.contextvars.clear_contextvars()  # a connection's requests can share a context
        structlog.contextvars.bind_contextvars(request_id=record.request_id)
        begun = time.perf_counter()
        status = _CLIENT_GONE

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message).update({REQUEST_ID: record.request_id, **record.headers})
            await send(message)

        try:
            await self.app(scope, receive, send_with_headers)
        except ClientDisconnect:
            logger.info("the client went away while it sent its body")
        except Exception:
            extra = {"request_id": record.request_id}
            logger.exception("%s %a failed", scope["method"], scope["path"][:200], extra=extra)
            if status != _CLIENT_GONE:
                raise
            await unexpected_answer(record.request_id)(scope, receive, send_with_headers)
        finally:
            self._done(scope, record, status, time.perf_counter() - begun)

    def _done(self, scope: Scope, record: RequestRecord, status: int, seconds: float) -> None:
        finish_audit(scope, record, status)
        route = route_of(scope)
        scope["app"].state.services.metrics.answered(scope["method"], route, status, seconds)
        level = logging.DEBUG if route in _QUIET else logging.INFO
        if access.isEnabledFor(level):
            fields = {
                "method": scope["method"],
                "route": route,
                "status": status,
                "duration_ms": round(seconds * 1000, 1),
                "container_id": record.container_id or container_of(scope),
                "execution_id": record.execution_id,
                "remote_address": record.remote_address,
            }
            access.log(level, "request", extra={name: value for name, value in fields.items() if value is not None})


def not_http_answer() -> Response:
    """Return the answer (400) to something that could not be read as HTTP, and write it into the log."""
    return _without_request(400, "invalid_http", "This is not a valid HTTP/1.1 request.", {})


def head_too_large_answer(most: int) -> Response:
    """Return the answer (431) to a request whose head has no end, and write it into the log."""
    message = f"The request's line and headers are larger than the {most} bytes this server accepts."
    return _without_request(431, "head_too_large", message, {"max_head_bytes": most})


def _without_request(status: int, code: str, message: str, details: dict[str, Any]) -> Response:
    request_id = new_id(REQUEST)
    access.info("request", extra={"status": status, "request_id": request_id})
    return JsonAnswer(error_body(code, message, request_id, details), status, {REQUEST_ID: request_id})


def _request_id(scope: Scope) -> str:
    given = Headers(scope=scope).get(REQUEST_ID, "")
    return given if _VALID_ID.fullmatch(given) else new_id(REQUEST)
