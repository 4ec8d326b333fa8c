"""The OpenAPI document, put together from the routes and the request models."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from .documentation import ANSWER_EXAMPLES, KEY_PARAMETER, REQUEST_MODELS

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
    {"name": "files", "description": "Files in them."},
    {"name": "usage", "description": "What they did cost, and what the account may spend and hold."},
    {"name": "audit", "description": "Who did what."},
    {"name": "estimate", "description": "What they would cost."},
    {"name": "server", "description": "The server itself; no key is needed."},
]


_FRAMEWORKS_OWN = ("HTTPValidationError", "ValidationError")
_BOUNDS = {"ge": "minimum", "le": "maximum"}

_HEADERS = {
    "RequestId": {
        "description": "The id that this request is logged with: its own `X-Request-Id`, if it was a valid one.",
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9._:/+=@-]{1,128}$"},
        "required": True,
    },
    "RetryAfter": {
        "description": "Send the request again after so many seconds.",
        "schema": {"type": "integer", "minimum": 1},
        "required": True,
    },
    "Replayed": {
        "description": "This is the first answer to this Idempotency-Key; nothing was done anew.",
        "schema": {"type": "string", "const": "true"},
    },
}


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
    schemas.update({name: _with_nulls(schema) for name, schema in models["$defs"].items()})
    made["components"]["schemas"] = {
        name: _tidied(schema) for name, schema in sorted(schemas.items()) if name not in _FRAMEWORKS_OWN
    }
    for operations in made["paths"].values():
        if "post" in operations:
            operations["post"].setdefault("parameters", []).append(KEY_PARAMETER)
    _put_examples_in(made)
    _put_headers_in(made)
    return made


def _with_nulls(schema: dict[str, Any]) -> dict[str, Any]:
    """Say that null is the same as leaving an optional field out."""
    optional = set(schema.get("properties", {})) - set(schema.get("required", []))
    for name in optional:
        field = schema["properties"][name]
        if "anyOf" not in field:
            field["type"] = [field["type"], "null"]
            if "enum" in field:
                field["enum"] = [*field["enum"], None]
    return schema


def _tidied(schema: Any) -> Any:
    """Spell bounds that stand behind a conversion as JSON Schema does, and drop titles that repeat the names."""
    if isinstance(schema, list):
        return [_tidied(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    tidied = {_BOUNDS.get(name, name): _tidied(value) for name, value in schema.items()}
    for field in tidied.get("properties", {}).values():
        field.pop("title", None)
    return tidied


def _put_examples_in(made: dict[str, Any]) -> None:
    # Only now, because on its way through the framework an example would lose its nulls.
    for operations in made["paths"].values():
        for operation in operations.values():
            status, example = ANSWER_EXAMPLES[operation["summary"]]
            responses = operation["responses"]
            responses[str(status)]["content"]["application/json"]["example"] = example
            # The framework's guess for routes with a path: any text is a valid id here, if only of nothing.
            if "HTTPValidationError" in str(responses.get("422")):
                del responses["422"]


def _put_headers_in(made: dict[str, Any]) -> None:
    made["components"]["headers"] = _HEADERS
    for operations in made["paths"].values():
        for method, operation in operations.items():
            for status, response in operation["responses"].items():
                headers = {"X-Request-Id": "RequestId"}
                if status in ("429", "503"):
                    headers["Retry-After"] = "RetryAfter"
                if method == "post" and int(status) < 500:
                    headers["Idempotency-Replayed"] = "Replayed"
                response["headers"] = {name: {"$ref": f"#/components/headers/{kept}"} for name, kept in headers.items()}
