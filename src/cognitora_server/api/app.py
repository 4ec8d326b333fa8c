"""Puts the API together."""

from __future__ import annotations

from functools import partial

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from .. import __version__
from ..domain.errors import CognitoraError
from . import audit, containers, estimates, executions, files, service, usage
from .bodies import Bodies, RefusedBody, on_refused_body
from .errors import on_error, on_http_error
from .methods import HeadAsGet
from .metrics import serve_metrics
from .middleware import RequestContext
from .openapi import document
from .ports import Services
from .rate_limits import RateLimits

BASE_PATH = "/api/v1/compute"


def create_app(services: Services) -> FastAPI:
    """Return the API over `services`. It starts nothing and holds nothing else."""
    app = FastAPI(
        title="Cognitora",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        redirect_slashes=False,
        generate_unique_id_function=_operation_id,
        exception_handlers={
            RefusedBody: on_refused_body,
            CognitoraError: on_error,
            HTTPException: on_http_error,
        },
    )
    app.state.services = services
    app.state.bodies = Bodies(services.settings.max_body_bytes, services.settings.max_inflight_body_bytes)
    app.state.rate_limits = RateLimits(services.settings)
    # Executions first: `/containers/executions` is not a container's id.
    for router in (executions.router, containers.router, files.router, estimates.router, audit.router, usage.router):
        app.include_router(router, prefix=BASE_PATH)
    app.include_router(service.router)
    service.serve_docs(app)
    serve_metrics(app)
    app.add_middleware(RequestContext)
    # Outside, because it hands on another scope: what the router writes into that is read by the other.
    app.add_middleware(HeadAsGet)
    app.openapi = partial(document, app)  # type: ignore[method-assign]
    return app


def _operation_id(route: APIRoute) -> str:
    return route.name
