"""What the containers API answers."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, Self, SupportsIndex

from .records import Page, Record, record

#: The states in which a container (or, in lower case, an execution) has ended.
FINAL = frozenset({"COMPLETED", "FAILED", "CANCELLED", "TERMINATED", "TIMEOUT"})


@record
class ExecutionResources(Record):
    """What a container may use: CPU cores, MiB of memory, GiB of disk, GPUs."""

    cpu_cores: float
    memory_mb: int
    storage_gb: int
    gpu_count: int

    @classmethod
    def from_api_response(cls, data: Mapping[str, Any]) -> Self:
        """Return the resources that an answer holds, in either spelling."""
        return cls({"cpu_cores": 1.0, "memory_mb": 512, "storage_gb": 5, "gpu_count": 0} | cls(data))


@record
class PortMapping(Record):
    """A published port; `url` is "pending" until it can be reached."""

    container_port: int
    protocol: str
    url: str


@record
class ContainerUsage(Record):
    """What a container has used so far."""

    cpu_seconds: float
    memory_peak_bytes: int
    disk_bytes: int


@record
class Execution(Record):
    """A container (the name is the published client's), as it was when the server answered.

    `status` is QUEUED, STARTING, RUNNING, IDLE, COMPLETED, FAILED, CANCELLED, TERMINATED or TIMEOUT. Once it has ended,
    `reason` (for programs) and `error_message` (for people) say why, and `exit_code` is its command's.
    """

    id: str
    status: str
    image: str
    command: list[str] | None
    resources: ExecutionResources
    max_cost_credits: float
    created_at: datetime
    actual_cost_credits: float | None
    metered_seconds: int
    budget_warning: str | None
    budget_warned_at: datetime | None
    started_at: datetime | None
    completed_at: datetime | None
    updated_at: datetime
    expires_at: datetime
    timeout_seconds: int
    idle_timeout_seconds: int | None
    last_activity_at: datetime | None
    runtime_seconds: float
    persistent: bool
    container_type: str
    environment: dict[str, str]
    networking: bool
    port_mapping: PortMapping | None
    isolation: str | None
    progress: str | None
    queue_position: int | None
    exit_code: int | None
    reason: str | None
    error_message: str | None
    image_notice: str | None
    usage: ContainerUsage
    name: str | None
    metadata: dict[str, str]

    @property
    def ended(self) -> bool:
        """True once the status is final."""
        return self.status.upper() in FINAL


@record
class PersistentContainer(Execution):
    """A container that outlives its command."""


@record
class ContainerExecution(Record):
    """One command that was run in a container; `main` tells the container's own.

    `status` is queued, running, completed, failed, timeout or cancelled. In lists long texts are cut, and `truncated`
    says so.
    """

    id: str
    container_id: str
    main: bool
    status: str
    image: str
    command: list[str]
    language: str | None
    working_directory: str | None
    timeout_seconds: float | None
    exit_code: int | None
    error_message: str | None
    output: str
    stdout: str
    stderr: str
    truncated: bool
    omitted_bytes: int
    files_uploaded: int
    networking: bool
    runtime_seconds: float
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None


@record
class ContainerExecResponse(Record):
    """The result of a command. `output` is stdout and stderr as they came; `exit_code` is 124 after a timeout."""

    container_id: str
    execution_id: str
    status: str
    command: list[str]
    output: str
    stdout: str
    stderr: str
    exit_code: int | None
    error_message: str | None
    executed_at: datetime
    duration_ms: int
    files_uploaded: int
    truncated: bool
    omitted_bytes: int


@record
class ContainerUpdateResponse(Record):
    """A container's new limits in time."""

    id: str
    status: str
    expires_at: datetime
    timeout_seconds: int
    idle_timeout_seconds: int | None
    updated_at: datetime


@record
class CancelResult(Record):
    """What became of the wish to end a container. It is true in a condition."""

    id: str
    status: str
    message: str


@record
class CostBreakdown(Record):
    """Credits by what they are for."""

    cpu: float
    memory: float
    storage: float
    gpu: float


@record
class CostEstimate(Record):
    """What resources cost, in credits, held for `timeout_seconds`."""

    estimated_credits: float
    breakdown: CostBreakdown
    timeout_seconds: int


@record
class FileWritten(Record):
    """A file that was written into a container; `size` is in bytes."""

    path: str
    size: int


class ContainerLogs(str):
    """What a container's own command wrote, stdout and stderr as they came: text, also as `.logs`."""

    __slots__ = ()

    @property
    def logs(self) -> str:
        """The text."""
        return str(self)

    def __getitem__(self, key: SupportsIndex | slice | str) -> str:
        """Return characters, or by the name `logs` the text."""
        if not isinstance(key, str):
            return super().__getitem__(key)
        if key != "logs":
            raise KeyError(key)
        return self.logs


@record
class RunResult(Record):
    """A container that has ended, and what it wrote."""

    execution: Execution
    logs: ContainerLogs


@record
class UsageSum(Record):
    """What was used on one day (`day`), by one container (`container_id`) or with one image (`image`).

    `containers` is how many; `seconds` are those that were paid for.
    """

    day: date | None
    container_id: str | None
    image: str | None
    containers: int
    seconds: int
    credits: float


@record
class AccountStanding(Record):
    """How the account stands this month: its budget, its limits (None is none), and what it holds now."""

    name: str
    month: str
    budget_credits: float | None
    spent_credits: float
    remaining_credits: float | None
    renews_on: date
    max_containers: int | None
    max_cpu_cores: float | None
    max_memory_mb: int | None
    held_containers: int
    held_cpu_cores: float
    held_memory_mb: int


class Usage(Page[UsageSum]):
    """One page of usage; `seconds` and `credits` are of all pages, and `account` is how the account stands."""

    names = (*Page.names, "items", "seconds", "credits", "account")

    def __init__(self, answer: Mapping[str, Any]) -> None:
        sums = [UsageSum(item) for item in answer["items"]]
        super().__init__(sums, answer["total"], answer["limit"], answer["offset"])
        self.items = sums
        self.seconds: int = answer["seconds"]
        self.credits: float = answer["credits"]
        self.account = AccountStanding(answer["account"])
