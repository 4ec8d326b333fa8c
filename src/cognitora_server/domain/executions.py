"""Executions: one process run in a container, its main command or one exec."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

#: The exit code of an execution that was ended by its timeout.
TIMEOUT_EXIT_CODE = 124


class ExecutionStatus(StrEnum):
    """Where an execution is. The last four are final."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        """True once the execution has ended."""
        return self not in (ExecutionStatus.QUEUED, ExecutionStatus.RUNNING)


@dataclass(frozen=True, slots=True)
class FileUpload:
    """A file to write before an execution starts; a relative `name` lands in the working directory."""

    name: str
    content: bytes


@dataclass(frozen=True, slots=True)
class ExecutionRequest:
    """What to run: argv, files to write first, environment and folder; `timeout_seconds` None means the default.

    The environment may hold secrets: it is neither stored nor shown.
    """

    command: tuple[str, ...]
    files: tuple[FileUpload, ...] = ()
    timeout_seconds: float | None = None
    working_directory: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class ExecutionFilter:
    """Which executions to list: all conditions hold together."""

    container_id: str | None = None
    status: ExecutionStatus | None = None
    language: str | None = None


@dataclass(frozen=True, slots=True)
class Output:
    """What a process wrote.

    `combined` is stdout and stderr as they came. Each is at most the server's output limit; what lies between
    head and tail was left out and is counted in `omitted_bytes`, and a line in the text says so.
    """

    combined: str = ""
    stdout: str = ""
    stderr: str = ""
    omitted_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Execution:
    """The record of an execution. `main` is the container's own command. Times are UTC."""

    id: str
    container_id: str
    account_id: str
    image: str
    command: tuple[str, ...]
    main: bool
    networking: bool
    status: ExecutionStatus
    created_at: datetime
    language: str | None = None
    working_directory: str | None = None
    timeout_seconds: float | None = None
    files_uploaded: int = 0
    started_at: datetime | None = None
    completed_at: datetime | None = None
    exit_code: int | None = None
    error_message: str | None = None
    output: Output = Output()

    def runtime_seconds(self, now: datetime) -> float:
        """Seconds from start to end, or until `now` while it runs; 0 before the start."""
        if self.started_at is None:
            return 0.0
        return max(0.0, ((self.completed_at or now) - self.started_at).total_seconds())
