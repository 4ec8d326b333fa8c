"""The OpenAPI document, put together from the routes and the request models."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from .documentation import _KEY_PARAMETER, REQUEST_MODELS

DESCRIPTION = """\
Runs untrusted commands in sealed sandboxes.

* Send `Authorization: Bearer KEY` with every call under `/api/v1`.
* Request fields and query parameters are documented in camelCase; **snake_case is accepted too** (`cpuCores` or
  `cpu_cores`). Giving both with different values is refused. An unknown field is refused, with the nearest known one.
* Bodies are JSON whatever the Content-Type says; `// comments`, `/* comments */` and trailing commas are accepted.
* Answers about containers are in camelCase, at the top level and once more under `data`; executions in snake_case.
* Times are ISO 8601; those without a zone are taken as UTC.
* Every answer has `X-Request-Id`; a valid one of the request is kept. Errors have one form: `ErrorAnswer`.
* Every POST takes an `Idempotency-Key`.
"""

TAGS = [
    {"name": "containers", "description": "The sealed computers."},
    {"name": "executions", "description": "Commands run in them."},
    {"name": "estimate", "description": "What they would cost."},
    {"name": "server", "description": "The server itself; no key is needed."},
]


def document(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document of the app."""
    if app.openapi_schema is None:
        app.openapi_schema = _made(app)
    return app.openapi_schema


def _made(app: FastAPI) -> dict[str, Any]:
    made = get_openapi(
        title=app.title,
        version=app.version,
        summary="Sealed computers for AI agents.",
        description=DESCRIPTION,
        routes=app.routes,
        tags=TAGS,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
    )
    _, models = models_json_schema(
        [(model, "validation") for model in REQUEST_MODELS.values()],
        by_alias=True,
        ref_template="#/components/schemas/{model}",
    )
    schemas = made["components"]["schemas"]
    schemas.update(models["$defs"])
    made["components"]["schemas"] = dict(sorted(schemas.items()))
    for operations in made["paths"].values():
        if "post" in operations:
            operations["post"].setdefault("parameters", []).append(_KEY_PARAMETER)
    return made
