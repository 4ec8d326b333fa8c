"""Answers: JSON bodies from wire models, and the mirror under `data` that container answers carry."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticSerializationError, to_json
from starlette.responses import Response


class JsonAnswer(Response):
    """A JSON object, from a wire model, a mapping, or bytes that are JSON already."""

    media_type = "application/json"

    def __init__(
        self,
        content: BaseModel | Mapping[str, Any] | bytes,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        body = content if isinstance(content, bytes) else encode(content)
        super().__init__(body, status, dict(headers or {}))


def mirrored(model: BaseModel, status: int = 200) -> JsonAnswer:
    """Return the answer with the model's fields at the top level and once more under `data`."""
    body = encode(model)
    # The fields are written once and put together as bytes: outputs can be megabytes.
    return JsonAnswer(b"".join((body[:-1], b',"data":', body, b"}")), status)


def mirrored_list(items: Sequence[BaseModel], page: Mapping[str, int]) -> JsonAnswer:
    """Return one page of containers, under `executions` (the published client's word) and under `data`."""
    listed = b"".join((b"[", b",".join(encode(item) for item in items), b"]"))
    return JsonAnswer(b"".join((b'{"executions":', listed, b',"data":', listed, b",", encode(page)[1:])))


def encode(content: BaseModel | Mapping[str, Any]) -> bytes:
    """Return the content as JSON, by wire names."""
    try:
        return to_json(content, by_alias=True)
    except PydanticSerializationError:
        # Text from inside a sandbox can hold half a surrogate pair, which UTF-8 has no form for.
        plain = content.model_dump(by_alias=True) if isinstance(content, BaseModel) else dict(content)
        return json.dumps(_well_formed(plain), separators=(",", ":")).encode()


def _well_formed(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, Mapping):
        return {_well_formed(name): _well_formed(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_well_formed(item) for item in value]
    return value
