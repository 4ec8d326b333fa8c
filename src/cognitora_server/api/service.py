"""What the server says about itself, without a key: what it is, whether it works, and its documentation."""

from __future__ import annotations

from importlib import resources

from fastapi import APIRouter, FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.requests import Request
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

from .. import __version__
from . import examples
from .answers import JsonAnswer
from .auth import Api
from .documentation import documented
from .errors import error_body, request_id_of
from .schemas.service import About, Live, NotReady, Ready

router = APIRouter(tags=["server"])

_ASSETS = "/docs/assets"


@router.get(
    "/",
    **documented("Say what this is", "Where to find the rest.", answer=About, example=examples.ABOUT, public=True),
)
async def about() -> Response:
    """Say what this is."""
    return JsonAnswer(
        About(
            name="Cognitora",
            version=__version__,
            api="/api/v1",
            docs="/docs",
            openapi="/openapi.json",
            health="/health",
            ready="/ready",
        )
    )


@router.get(
    "/health",
    **documented("Say that the server lives", "It answers.", answer=Live, example=examples.HEALTH, public=True),
)
async def health() -> Response:
    """Say that the server lives."""
    return JsonAnswer(Live())


@router.get(
    "/ready",
    **documented(
        "Say whether containers can be run",
        "200, or 503 with what is wrong.",
        answer=Ready,
        example=examples.READY,
        public=True,
        other={503: (NotReady, "Containers cannot be run now; `problems` says why.")},
    ),
)
async def ready(request: Request, api: Api) -> Response:
    """Say whether containers can be run."""
    problems = await api.health.ready()
    if not problems:
        return JsonAnswer(Ready())
    message = "The server cannot run containers now: " + " ".join(problems)
    body = error_body("not_ready", message, request_id_of(request), {"problems": problems})
    return JsonAnswer({**body, "status": "not_ready", "problems": problems}, 503, {"Retry-After": "5"})


def serve_docs(app: FastAPI) -> None:
    """Serve the interactive documentation at /docs, with nothing from other hosts."""
    folder = str(resources.files("fastapi_offline") / "static")
    app.mount(_ASSETS, StaticFiles(directory=folder), name="docs-assets")

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return get_swagger_ui_html(
            openapi_url="/openapi.json",
            title="Cognitora API",
            swagger_js_url=f"{_ASSETS}/swagger-ui-bundle.js",
            swagger_css_url=f"{_ASSETS}/swagger-ui.css",
            swagger_favicon_url=f"{_ASSETS}/favicon.png",
        )
