"""What every request goes through: it gets an id, and whatever happens it gets an answer of the one form."""

from __future__ import annotations

import logging
import re

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..domain.ids import REQUEST, new_id
from .errors import unexpected_answer

logger = logging.getLogger("cognitora.api")

REQUEST_ID = "X-Request-Id"
_VALID_ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")


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
        request_id = _request_id(scope)
        scope.setdefault("state", {})["request_id"] = request_id
        started = False

        async def send_with_id(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                MutableHeaders(scope=message)[REQUEST_ID] = request_id
            await send(message)

        try:
            await self.app(scope, receive, send_with_id)
        except ClientDisconnect:
            logger.info("request %s: the client went away while it sent its body", request_id)
        except Exception:
            logger.exception("request %s: %s %a failed", request_id, scope["method"], scope["path"][:200])
            if started:
                raise
            await unexpected_answer(request_id)(scope, receive, send_with_id)


def _request_id(scope: Scope) -> str:
    given = Headers(scope=scope).get(REQUEST_ID, "")
    return given if _VALID_ID.fullmatch(given) else new_id(REQUEST)
