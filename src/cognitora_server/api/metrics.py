"""GET /metrics, for Prometheus. Not part of the API's document: it is the operator's."""

from __future__ import annotations

import hmac
from ipaddress import ip_address

from fastapi import FastAPI
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import Response

from ..domain.errors import Unauthorized
from .auth import Api
from .record import record_of

#: A proxy on this host sets one of these: what it hands on comes from elsewhere.
_FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip", "via")


def serve_metrics(app: FastAPI) -> None:
    """Serve the metrics: with `metrics_token` to who has it, without it to programs on this host only."""

    @app.get("/metrics", include_in_schema=False)
    async def metrics(request: Request, api: Api) -> Response:
        if not _may_read(request, api.settings.metrics_token):
            raise Unauthorized(
                "Metrics are for the server's operator: read them from this host itself, or set metrics_token and send "
                "'Authorization: Bearer METRICS_TOKEN'."
            )
        return Response(api.metrics.exposition(), media_type=CONTENT_TYPE_LATEST)


def _may_read(request: Request, token: str | None) -> bool:
    if token is not None:
        given = request.headers.get("authorization", "")
        return hmac.compare_digest(given.encode(), f"Bearer {token}".encode())
    if any(name in request.headers for name in _FORWARDED):
        return False
    address = record_of(request).remote_address
    return address is not None and ip_address(address).is_loopback
