"""What a process is given, in containers and in executions: its command and its environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator

from ...domain.containers import SECRET_SHOWN
from .base import NO_NUL, Clean, Flag, Text, WireRequest, bounded, wrong

KIB = 1024
MAX_ARGUMENTS = 1_000
MAX_COMMAND_BYTES = 256 * KIB
MAX_VARIABLES = 500
MAX_VALUE_BYTES = 64 * KIB
MAX_ENVIRONMENT_BYTES = 512 * KIB
MAX_PATH_BYTES = 4_096


def _no_command_line(value: Any) -> Any:
    if isinstance(value, str):
        raise wrong(
            "must be a list of strings, the program and each of its arguments, "
            'such as ["python", "-c", "print(1)"]; for a shell line write ["sh", "-c", "…"]'
        )
    return value


def _command(value: list[str]) -> list[str]:
    if not value[0]:
        raise wrong("must start with the name of a program, not with an empty string")
    if any("\0" in argument for argument in value):
        raise wrong("must not hold a NUL character")
    if sum(len(argument.encode()) for argument in value) > MAX_COMMAND_BYTES:
        raise wrong(f"is longer than {MAX_COMMAND_BYTES} bytes; write what is long to a file")
    return value


@dataclass(frozen=True, slots=True)
class Variable:
    """The value of a variable, and whether it may ever be shown."""

    value: str = field(repr=False)
    secret: bool


VariableText = Annotated[Text, Field(json_schema_extra={"maxLength": MAX_VALUE_BYTES, **NO_NUL})]


class VariableIn(WireRequest):
    """The value of a variable, with what else is to be said about it."""

    value: Annotated[VariableText, Field(json_schema_extra={"writeOnly": True})]
    secret: Annotated[Flag, Field(description="It is given to the processes, and never shown.")] = False


def _variable(value: Any) -> Variable:
    if isinstance(value, str):
        return Variable(value, secret=False)
    if not isinstance(value, dict):
        raise wrong('must be a string, or {"value": "a string", "secret": true}')
    given = VariableIn.model_validate(value)
    return Variable(given.value, given.secret)


def shown(environment: Mapping[str, Variable]) -> dict[str, str]:
    """Return the variables as they are shown."""
    return {name: SECRET_SHOWN if variable.secret else variable.value for name, variable in environment.items()}


def secrets(environment: Mapping[str, Variable]) -> dict[str, str]:
    """Return the secret variables."""
    return {name: variable.value for name, variable in environment.items() if variable.secret}


def _environment(value: dict[str, Variable]) -> dict[str, Variable]:
    total = 0
    for name, variable in value.items():
        text = variable.value
        if not name or "=" in name or "\0" in name:
            raise wrong("must have names that are not empty and hold neither '=' nor NUL", name)
        bounded(text, MAX_VALUE_BYTES, name)
        total += len(name.encode()) + len(text.encode())
    if total > MAX_ENVIRONMENT_BYTES:
        raise wrong(f"is larger than {MAX_ENVIRONMENT_BYTES} bytes in all")
    return value


def _folder(value: str) -> str:
    if not value.startswith("/"):
        raise wrong("must be an absolute path, such as /workspace")
    return bounded(value, MAX_PATH_BYTES)


Command = Annotated[
    list[Clean],
    BeforeValidator(_no_command_line, json_schema_input_type=list[Clean]),
    Field(
        min_length=1,
        max_length=MAX_ARGUMENTS,
        json_schema_extra={"prefixItems": [{"type": "string", "minLength": 1, **NO_NUL}]},
    ),
    AfterValidator(_command),
]
Environment = Annotated[
    dict[
        Text,
        Annotated[Variable, PlainValidator(_variable, json_schema_input_type=VariableText | VariableIn)],
    ],
    Field(max_length=MAX_VARIABLES, json_schema_extra={"propertyNames": {"pattern": r"^[^=\u0000]+$"}}),
    AfterValidator(_environment),
]
Folder = Annotated[
    Text,
    AfterValidator(_folder),
    Field(json_schema_extra={"maxLength": MAX_PATH_BYTES, "pattern": r"^/[^\u0000]*$"}),
]


def _file_path(value: str) -> str:
    """Return the path of a file, if it can be one."""
    if not value:
        raise wrong("must not be empty")
    if value.rsplit("/", 1)[-1] in ("", ".", ".."):
        raise wrong("must name a file, not a folder")
    return bounded(value, MAX_PATH_BYTES)


#: The path of a file, absolute or not.
FilePath = Annotated[
    Text,
    AfterValidator(_file_path),
    Field(
        json_schema_extra={
            "minLength": 1,
            "maxLength": MAX_PATH_BYTES,
            "pattern": r"^([^\u0000]*/)?(?!\.{1,2}$)[^/\u0000]+$",
        }
    ),
]
