"""The code interpreter is not there yet: whoever uses it is told so."""

from __future__ import annotations

from typing import NoReturn

from .errors import NotSupportedError


class CodeInterpreter:
    """The place of the code interpreter. Every call raises NotSupportedError."""

    def __init__(self, *_: object, **__: object) -> None:
        """Take whatever the published client's takes; nothing is connected."""

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("_"):
            raise AttributeError(name)
        raise NotSupportedError(
            f"code_interpreter.{name} is not in this version of the client. Code can be run in a container: "
            'containers.execute_in_container(id, ["python3", "-c", code]).'
        )


class AsyncCodeInterpreter(CodeInterpreter):
    """The same for the async client."""
