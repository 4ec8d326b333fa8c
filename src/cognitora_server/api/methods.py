"""HTTP methods: what an address takes, and HEAD wherever there is GET."""

from __future__ import annotations

from starlette.requests import Request
from starlette.routing import Match
from starlette.types import ASGIApp, Receive, Scope, Send

_METHODS = ("DELETE", "GET", "PATCH", "POST", "PUT")


class HeadAsGet:
    """Runs HEAD as GET; the HTTP server sends such an answer without its body."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run one request."""
        if scope["type"] == "http" and scope["method"] == "HEAD":
            scope = {**scope, "method": "GET"}
        await self.app(scope, receive, send)


def allowed_methods(request: Request) -> list[str]:
    """Return the methods that the request's address takes."""
    # The framework names those of the first route with this address only.
    found = [method for method in _METHODS if _taken(request, method)]
    return sorted([*found, "HEAD"] if "GET" in found else found)


def _taken(request: Request, method: str) -> bool:
    scope = {"type": "http", "method": method, "path": request.url.path, "headers": []}
    return any(route.matches(scope)[0] is Match.FULL for route in request.app.routes)
