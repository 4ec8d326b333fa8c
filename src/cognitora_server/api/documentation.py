"""What a route says about itself in the OpenAPI document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .examples import REQUEST_ID
from .schemas.base import WireRequest
from .schemas.service import ErrorAnswer

#: Every request model by name: the document holds their schemas.
REQUEST_MODELS: dict[str, type[WireRequest]] = {}

#: What is answered, by the call's summary: the status and the body.
ANSWER_EXAMPLES: dict[str, tuple[int, dict[str, Any]]] = {}

_REFUSALS: Mapping[int, tuple[str, str, str]] = {
    401: ("unauthorized", "No valid API key.", "No valid API key was given."),
    402: (
        "budget_exhausted",
        "The account's budget for the month is used up.",
        "The account 'default' has used up its budget of 100 credits for January 2026 (UTC). It renews on 2026-02-01.",
    ),
    404: ("not_found", "There is no such resource in this account.", "There is no such resource in this account."),
    408: ("body_timeout", "The body came too slowly.", "The request's body came too slowly. Send it again."),
    409: ("conflict", "The state does not allow it.", "The resource is not in a state that allows this."),
    413: ("too_large", "The body is larger than the server accepts.", "The request's body is too large."),
    422: ("invalid_request", "Something in the request is wrong.", "memoryMb must be at least 64."),
    429: ("rate_limited", "Too many requests; see Retry-After.", "Too many requests."),
    500: ("internal", "The server failed; its log has the request id.", "Something went wrong inside the server."),
    502: ("guest_unreachable", "The inside of the sandbox did not answer.", "The guest agent does not answer."),
    503: ("busy", "The server is full now; see Retry-After.", "The server is taking in as much as it can hold."),
}

KEY_PARAMETER = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "1 to 255 printable characters. The same key and body are answered with the first answer for "
    "24 hours (`Idempotency-Replayed: true`); the same key with another body is 409.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~][ -~]*$"},
}

_CONTENT = {
    "requestBody": {
        "required": False,
        "description": "The file's content; without it, the file is empty.",
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


def documented(
    summary: str,
    description: str,
    *,
    answer: Any,
    example: Mapping[str, Any],
    status: int = 200,
    body: type[WireRequest] | None = None,
    bodies: Mapping[str, Any] | None = None,
    query: type[WireRequest] | None = None,
    content: bool = False,
    refusals: tuple[int, ...] = (),
    other: Mapping[int, tuple[Any, str]] | None = None,
    links: Mapping[str, Mapping[str, str]] | None = None,
    public: bool = False,
) -> dict[str, Any]:
    """Return the keywords of a route: its answer, every refusal, its body (`content`: bytes) or query, and examples.

    `links` says which operations take what from the answer: their parameters, as runtime expressions.
    """
    statuses = {*refusals, 500}
    if not public:
        statuses |= {401, 429}
    if query is not None:
        statuses |= {422}
    if body is not None:
        statuses |= {408, 409, 413, 422, 503}
    responses: dict[int | str, dict[str, Any]] = {number: _refusal(number) for number in sorted(statuses)}
    for number, (model, text) in (other or {}).items():
        responses[number] = {"model": model, "description": text}
    responses[status] = {"description": "Done."}
    if links:
        responses[status]["links"] = {
            name: {"operationId": name, "parameters": dict(parameters)} for name, parameters in links.items()
        }
    ANSWER_EXAMPLES[summary] = (status, dict(example))
    return {
        "summary": summary,
        "description": description,
        "response_model": answer,
        "status_code": status,
        "responses": responses,
        "openapi_extra": {**(_CONTENT if content else _body(body, bodies)), "parameters": _parameters(query)},
    }


def _refusal(number: int) -> dict[str, Any]:
    code, description, sentence = _REFUSALS[number]
    example = {"error": sentence, "code": code, "request_id": REQUEST_ID, "details": {}}
    if number == 422:
        example["details"] = {"fields": [{"field": "memoryMb", "message": "must be at least 64"}]}
    return {
        "model": ErrorAnswer,
        "description": description,
        "content": {"application/json": {"example": example}},
    }


def _body(model: type[WireRequest] | None, bodies: Mapping[str, Any] | None) -> dict[str, Any]:
    if model is None:
        return {}
    REQUEST_MODELS[model.__name__] = model
    named = {name.replace(" ", "-"): {"summary": name, "value": value} for name, value in (bodies or {}).items()}
    content = {"schema": {"$ref": f"#/components/schemas/{model.__name__}"}, "examples": named}
    return {"requestBody": {"required": True, "content": {"application/json": content}}}


def _parameters(query: type[WireRequest] | None) -> list[dict[str, Any]]:
    if query is None:
        return []
    schema = query.model_json_schema()
    required = schema.get("required", [])
    return [
        {**_parameter(name, field, schema.get("$defs", {})), "required": name in required}
        for name, field in schema["properties"].items()
    ]


def _parameter(name: str, field: dict[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    parameter = {"name": name, "in": "query", "description": field.pop("description", "")}
    kinds = [kind for kind in field.pop("anyOf", []) if kind.get("type") != "null"]
    merged = {**(kinds[0] if kinds else {}), **field}
    if "$ref" in merged:
        merged |= definitions[merged.pop("$ref").rpartition("/")[2]]
    merged.pop("title", None)
    if merged.get("default", 0) is None:
        merged.pop("default")
    if merged.get("type") == "object":
        parameter |= {"style": "deepObject", "explode": True}
    return {**parameter, "schema": merged}
