"""Checks requests against their models, and says in sentences what is wrong with which field."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from ..domain.errors import InvalidRequest
from .errors import NotSupported
from .schemas.base import NOT_SUPPORTED, WireRequest, one_spelling, wrong

MAX_SHOWN = 20

Model = TypeVar("Model", bound=WireRequest)
Result = TypeVar("Result")

_MAP_ENTRY = re.compile(r"([^\[\]]+)\[([^\[\]]*)\]")

_SENTENCES: dict[str, str] = {
    "missing": "is missing",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "is too large",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "string_type": "must be a string",
    "string_unicode": "must be a string of valid Unicode",
    "list_type": "must be a list",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "too_short": "must have at least {min_length} item(s)",
    "too_long": "must have at most {max_length} items",
    "string_too_short": "must have at least {min_length} character(s)",
    "string_too_long": "must have at most {max_length} characters",
    "literal_error": "must be {expected}",
}


def validate(model: type[Model], value: Any) -> Model:
    """Return `value` as `model`; raises InvalidRequest naming every field that is wrong."""
    if not isinstance(value, dict):
        raise InvalidRequest("The request's body must be a JSON object.")
    return checked(lambda: model.model_validate(value))


def validate_query(model: type[Model], pairs: Iterable[tuple[str, str]]) -> Model:
    """Return query parameters as `model`; a parameter given twice with different values is refused."""
    # Here and not in the model, because a dictionary would already have lost the first of two.
    return checked(lambda: model.model_validate(one_spelling(model, _with_maps(pairs))))


def _with_maps(pairs: Iterable[tuple[str, str]]) -> Iterator[tuple[str, Any]]:
    """Gather `name[key]=value` parameters into one map per name."""
    maps: dict[str, dict[str, str]] = {}
    for name, value in pairs:
        entry = _MAP_ENTRY.fullmatch(name)
        if entry is None:
            yield name, value
        elif maps.setdefault(entry[1], {}).setdefault(entry[2], value) != value:
            raise wrong("is given twice, with different values", name)
    yield from maps.items()


def checked(work: Callable[[], Result]) -> Result:
    """Do `work`; what it finds wrong with a request is raised as InvalidRequest."""
    try:
        return work()
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
    except PydanticCustomError as error:
        found = [{"type": error.type, "loc": (), "msg": error.message(), "ctx": error.context or {}, "input": None}]
    raise _refusal(found) from None


def _refusal(found: list[ErrorDetails]) -> InvalidRequest:
    problems = [{"field": _field(item), "message": _sentence(item)} for item in found[:MAX_SHOWN]]
    message = "; ".join(f"{problem['field']} {problem['message']}".strip() for problem in problems[:5])
    if len(found) > 5:
        message += f"; and {len(found) - 5} more"
    unsupported = any(item["type"] == NOT_SUPPORTED for item in found)
    kind = NotSupported if unsupported else InvalidRequest
    return kind(message if message.endswith((".", "?")) else message + ".", fields=problems)


def _field(item: ErrorDetails) -> str:
    inner = item.get("ctx", {}).get("field")
    path = ""
    for part in (*item["loc"], *([inner] if inner else [])):
        path += f"[{part}]" if isinstance(part, int) else f".{_shown(part)}" if path else _shown(part)
    return path


def _shown(name: str) -> str:
    text = name if len(name) <= 80 else name[:77] + "..."
    return text if text.isprintable() else ascii(text)


def _sentence(item: ErrorDetails) -> str:
    template = _SENTENCES.get(item["type"])
    values = {name: _plain(value) for name, value in item.get("ctx", {}).items()}
    return template.format(**values) if template else item["msg"]


def _plain(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value
