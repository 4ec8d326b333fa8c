"""Executions on the wire: what is asked for."""

from __future__ import annotations

import binascii
from collections.abc import Mapping
from functools import partial
from typing import Annotated, ClassVar, Literal

import pybase64
from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from ...domain.executions import ExecutionFilter, ExecutionRequest, ExecutionStatus, FileUpload
from .base import Clean, Seconds, Text, WireRequest, clean_text, wrong
from .listing import PageQuery, choice
from .processes import Command, Environment, FilePath, Folder, secrets, shown

MAX_FILES = 10_000


class FileIn(WireRequest):
    """A file to write before the command starts."""

    name: Annotated[FilePath, Field(description="Its path; relative ones land in the working directory.")]
    content: Annotated[Text, Field(description="Its content, as text or in base64.")]
    encoding: Literal["string", "base64"] = "string"

    def to_domain(self) -> FileUpload:
        """Return the file with its content as bytes."""
        return FileUpload(self.name, self.content.encode() if self.encoding == "string" else self._decoded())

    def _decoded(self) -> bytes:
        try:
            return pybase64.b64decode(self.content, validate=True)
        except (binascii.Error, ValueError):
            pass
        try:
            # The base64 command breaks its lines.
            return pybase64.b64decode("".join(self.content.split()), validate=True)
        except (binascii.Error, ValueError):
            raise wrong("is not valid base64", "content") from None


class ExecCreate(WireRequest):
    """A command to run in a container."""

    not_supported: ClassVar[Mapping[str, str]] = {
        "stream": "is not supported yet; the answer comes when the command has ended",
        "background": "is not supported yet; start it with sh -c '… &' and look at it in later calls",
        "stdin": "is not supported yet; send the input as a file and redirect it",
        "user": "is not supported yet; the command runs as the image's user",
        "tty": "is not supported yet",
    }

    command: Annotated[Command, Field(description="The program and its arguments.")]
    files: Annotated[
        list[FileIn],
        Field(default_factory=list, max_length=MAX_FILES, description="Written first, each whole or not at all."),
    ]
    timeout_seconds: Annotated[
        Seconds | None, Field(description="After this it is killed, with exit code 124 (default 3600).")
    ] = None
    working_directory: Annotated[Folder | None, Field(description="Default: the image's own; made if missing.")] = None
    environment: Annotated[
        Environment, Field(default_factory=dict, description="Variables, beside the container's. None of them is kept.")
    ]

    def to_domain(self) -> ExecutionRequest:
        """Return the request, its files decoded; each file's text is given up on the way."""
        return ExecutionRequest(
            command=tuple(self.command),
            files=tuple(self._uploads()),
            timeout_seconds=self.timeout_seconds,
            working_directory=self.working_directory,
            environment={**shown(self.environment), **secrets(self.environment)},
        )

    def _uploads(self) -> list[FileUpload]:
        uploads = []
        for index, file in enumerate(self.files):
            try:
                uploads.append(file.to_domain())
            except PydanticCustomError as error:
                raise wrong(error.message(), f"files[{index}].content") from None
            # A large upload must not stay in memory twice.
            file.content = ""
        self.files = []
        return uploads


class ExecutionQuery(PageQuery):
    """Which executions to list."""

    status: Annotated[
        ExecutionStatus | None,
        BeforeValidator(partial(choice, ExecutionStatus)),
        Field(description="Only those in this state, in any case."),
    ] = None


class AccountExecutionQuery(ExecutionQuery):
    """Which executions of the whole account to list."""

    language: Annotated[
        Clean | None,
        Field(max_length=64, description="Only those of this language (code-interpreter executions)."),
        AfterValidator(lambda text: text and clean_text(text)),
    ] = None

    def to_domain(self) -> ExecutionFilter:
        """Return the conditions."""
        return ExecutionFilter(status=self.status, language=self.language)
