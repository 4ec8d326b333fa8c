"""HTTP methods: what an address takes, and HEAD wherever there is GET."""

from __future__ import annotations

import re
from functools import partial

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

_PARAMETER = re.compile(r"\{\w+\}")


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
    # From the document: the framework's own answer names those of the first of several routes only.
    paths = request.app.openapi()["paths"]
    template = min(filter(partial(_fits, request.url.path), paths), key=_parameters, default=None)
    methods = {method.upper() for method in paths[template]} if template else {"GET"}
    return sorted(methods | {"HEAD"} if "GET" in methods else methods)


def _fits(path: str, template: str) -> bool:
    # A fixed address goes before one with a parameter, as in the routes.
    return re.fullmatch(_PARAMETER.sub("[^/]+", template), path) is not None


def _parameters(template: str) -> int:
    return len(_PARAMETER.findall(template))
