"""What all wire models share: two spellings for every request field, and the types of their values."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Annotated, Any, ClassVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    WithJsonSchema,
    model_validator,
)
from pydantic.alias_generators import to_camel, to_snake
from pydantic_core import PydanticCustomError

MAX_INT = 2**31 - 1

#: Error types of ours; `validation` turns them, and pydantic's own, into sentences.
WRONG = "wrong"
UNKNOWN = "unknown_field"
NOT_SUPPORTED = "not_supported"


def wrong(text: str, field: str = "") -> PydanticCustomError:
    """Return the error 'FIELD text' for a value (or for `field` inside it)."""
    return PydanticCustomError(WRONG, "{text}", {"text": text, "field": field})


def left_open(schema: dict[str, Any]) -> None:
    """Let a request's schema allow other names: snake_case is welcome too, and must not be called a mistake."""
    schema.pop("additionalProperties", None)


class WireRequest(BaseModel):
    """A request: every field in camelCase and in snake_case; null means the same as leaving it out."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        extra="forbid",
        allow_inf_nan=False,
        hide_input_in_errors=True,
        json_schema_extra=left_open,
    )

    #: Fields of the API that this server does not support yet (camelCase), each with a sentence.
    not_supported: ClassVar[Mapping[str, str]] = {}

    @model_validator(mode="before")
    @classmethod
    def _one_spelling(cls, given: Any) -> Any:
        return one_spelling(cls, given.items()) if isinstance(given, dict) else given


def one_spelling(model: type[WireRequest], given: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Return the given fields by their camelCase names, without nulls of optional fields."""
    names = _spellings(model)
    fields: dict[str, Any] = {}
    for spelling, value in given:
        name = names.get(spelling)
        if name is None:
            _refuse(model, spelling, value)
        elif name in fields and not _same(fields[name], value):
            raise wrong(f"is given twice, as {name} and {to_snake(name)}, with different values", name)
        else:
            fields[name] = value
    required = _required(model)
    return {name: value for name, value in fields.items() if value is not None or name in required}


@cache
def _spellings(model: type[WireRequest]) -> Mapping[str, str]:
    fields = {name: field.alias or name for name, field in model.model_fields.items()}
    return {**fields, **{alias: alias for alias in fields.values()}}


@cache
def _required(model: type[WireRequest]) -> frozenset[str]:
    return frozenset(field.alias or name for name, field in model.model_fields.items() if field.is_required())


def _same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and bool(one == other)


def _refuse(model: type[WireRequest], spelling: str, value: Any) -> None:
    for name, sentence in model.not_supported.items():
        if spelling in (name, to_snake(name)):
            # Not asking for it needs no support.
            if value is None or value is False:
                return
            raise PydanticCustomError(NOT_SUPPORTED, "{text}", {"text": sentence, "field": spelling})
    # The text comes from outside: only its start is compared and shown.
    near = difflib.get_close_matches(spelling[:64], list(_spellings(model)), 1, 0.6)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise PydanticCustomError(
        UNKNOWN, "{text}", {"text": f"is not a field of this request{hint}", "field": spelling or "''"}
    )


# The types of values in requests.


def _whole(value: Any) -> Any:
    # JSON has one kind of number: 512.0 is 512.
    return int(value) if isinstance(value, float) and value.is_integer() else value


def clean_text(value: str) -> str:
    """Refuse what no program can take in an argument, a name or a path."""
    if "\0" in value:
        raise wrong("must not hold a NUL character")
    return value


def bounded(value: str, most: int, field: str = "") -> str:
    """Refuse text with a NUL or of more than `most` bytes; `field` is its name in what is being checked."""
    if "\0" in value:
        raise wrong("must not hold a NUL character", field)
    if len(value) * 4 > most and len(value.encode()) > most:
        raise wrong(f"is longer than {most} bytes", field)
    return value


def _instant(value: Any) -> Any:
    if not isinstance(value, str) or len(value) > 64:
        raise wrong("must be a time in ISO 8601, such as 2030-01-31T12:00:00Z")
    try:
        moment = datetime.fromisoformat(value.strip())
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise wrong("must be a time in ISO 8601, such as 2030-01-31T12:00:00Z") from None


Whole = Annotated[int, Field(strict=True), BeforeValidator(_whole, json_schema_input_type=int)]
Number = Annotated[float, Field(strict=True)]
Flag = Annotated[bool, Field(strict=True)]
Text = Annotated[str, Field(strict=True)]
#: What `clean_text` and `bounded` let through, as the OpenAPI document says it.
NO_NUL = {"pattern": r"^[^\u0000]*$"}
Clean = Annotated[Text, Field(json_schema_extra=NO_NUL)]
Instant = Annotated[datetime, BeforeValidator(_instant, json_schema_input_type=datetime)]
Seconds = Annotated[Whole, Field(ge=1, le=MAX_INT)]


# The types of values in answers.


def show_time(moment: datetime) -> str:
    """Return a time as it is written on the wire: UTC, milliseconds, Z."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _compact(value: float) -> float:
    return int(value) if value.is_integer() else value


Time = Annotated[
    datetime,
    PlainSerializer(show_time),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2026-01-31T12:00:00.000Z"]}),
]
#: 100 rather than 100.0: clients with whole credits read it too.
Credits = Annotated[float, PlainSerializer(_compact), WithJsonSchema({"type": "number"})]


class CamelAnswer(BaseModel):
    """An answer about a container."""

    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True, frozen=True)


class SnakeAnswer(BaseModel):
    """An answer about an execution."""

    model_config = ConfigDict(frozen=True)
