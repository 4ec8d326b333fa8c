"""Executions on the wire: what is answered."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Self

from pydantic import ConfigDict, Field

from ...domain.containers import Container
from ...domain.executions import Execution, ExecutionStatus
from .base import CamelAnswer, Credits, SnakeAnswer, Time
from .container_answers import ResourcesOut

#: In lists each text is cut to this many characters: a page of a hundred must stay a page.
LISTED_CHARACTERS = 16_384


class ExecutionOut(SnakeAnswer):
    """An execution: one process in a container."""

    id: Annotated[str, Field(examples=["exec_0123456789abcdefghjk"])]
    container_id: str
    main: Annotated[bool, Field(description="Whether it is the container's own command.")]
    status: ExecutionStatus
    image: str
    command: list[str]
    language: Annotated[str | None, Field(description="Of code-interpreter executions.")]
    working_directory: str | None
    timeout_seconds: float | None
    exit_code: Annotated[int | None, Field(description="124 after a timeout.")]
    error_message: str | None
    output: Annotated[str, Field(description="stdout and stderr as they came.")]
    stdout: str
    stderr: str
    truncated: Annotated[
        bool, Field(description=f"Some output is not shown. Lists show {LISTED_CHARACTERS} characters of each text.")
    ]
    omitted_bytes: Annotated[int, Field(description="Output that was not kept, from the middle.")]
    files_uploaded: int
    networking: bool
    runtime_seconds: Annotated[float, Field(description="Seconds it ran so far.")]
    created_at: Time
    started_at: Time | None
    completed_at: Time | None

    @classmethod
    def of(cls, execution: Execution, now: datetime, most: int | None = None) -> Self:
        """Spell the record; with `most`, each text is cut to that many characters."""
        output = execution.output
        texts = (output.combined, output.stdout, output.stderr)
        cut = most is not None and any(len(text) > most for text in texts)
        combined, stdout, stderr = (text[:most] for text in texts)
        return cls(
            id=execution.id,
            container_id=execution.container_id,
            main=execution.main,
            status=execution.status,
            image=execution.image,
            command=list(execution.command),
            language=execution.language,
            working_directory=execution.working_directory,
            timeout_seconds=execution.timeout_seconds,
            exit_code=execution.exit_code,
            error_message=execution.error_message,
            output=combined,
            stdout=stdout,
            stderr=stderr,
            truncated=cut or output.omitted_bytes > 0,
            omitted_bytes=output.omitted_bytes,
            files_uploaded=execution.files_uploaded,
            networking=execution.networking,
            runtime_seconds=round(execution.runtime_seconds(now), 3),
            created_at=execution.created_at,
            started_at=execution.started_at,
            completed_at=execution.completed_at,
        )


class ExecutionAsContainer(ExecutionOut):
    """An execution asked for as if it were a container: with what clients read that know containers only."""

    model_config = ConfigDict(frozen=True, validate_by_name=True)

    resources: Annotated[ResourcesOut, Field(description="The container's.")]
    max_cost: Annotated[Credits, Field(alias="maxCostCredits", description="The container's.")]
    actual_cost: Annotated[Credits, Field(alias="actualCostCredits", description="The container's, so far.")]
    created: Annotated[Time, Field(alias="createdAt")]
    started: Annotated[Time | None, Field(alias="startedAt")]
    completed: Annotated[Time | None, Field(alias="completedAt")]
    data: Annotated[ExecutionOut, Field(description="The execution again.")]

    @classmethod
    def within(cls, container: Container, execution: ExecutionOut) -> Self:
        """Add to an execution its container's resources and costs."""
        return cls(
            **dict(execution),
            resources=ResourcesOut.of(container.resources),
            max_cost=container.max_cost_credits,
            actual_cost=container.cost,
            created=execution.created_at,
            started=execution.started_at,
            completed=execution.completed_at,
            data=execution,
        )


class ExecutionListAnswer(SnakeAnswer):
    """One page of executions, newest first."""

    executions: list[ExecutionOut]
    total: Annotated[int, Field(description="How many there are on all pages.")]
    limit: int
    offset: int


class ExecOut(CamelAnswer):
    """The result of a command."""

    container_id: str
    execution_id: Annotated[str, Field(description="To look it up later.")]
    status: ExecutionStatus
    command: list[str]
    output: Annotated[str, Field(description="stdout and stderr as they came.")]
    stdout: str
    stderr: str
    exit_code: Annotated[int | None, Field(description="124 after a timeout; not zero is a result, no error.")]
    error_message: str | None
    executed_at: Time
    duration_ms: int
    files_uploaded: int
    truncated: Annotated[bool, Field(description="Output was longer than the server keeps.")]
    omitted_bytes: Annotated[int, Field(description="Output that was not kept, from the middle.")]

    @classmethod
    def of(cls, execution: Execution, now: datetime) -> Self:
        """Spell the record of an execution that has ended."""
        output = execution.output
        return cls(
            container_id=execution.container_id,
            execution_id=execution.id,
            status=execution.status,
            command=list(execution.command),
            output=output.combined,
            stdout=output.stdout,
            stderr=output.stderr,
            exit_code=execution.exit_code,
            error_message=execution.error_message,
            executed_at=execution.started_at or execution.created_at,
            duration_ms=round(execution.runtime_seconds(now) * 1000),
            files_uploaded=execution.files_uploaded,
            truncated=output.omitted_bytes > 0,
            omitted_bytes=output.omitted_bytes,
        )


class ExecAnswer(ExecOut):
    """The result of a command, and the same again under `data`."""

    data: ExecOut
