"""Containers: the user's resource, its states, and what the record of one holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from .credits import MICRO, Prices, cost, micro_credits
from .meters import Meter
from .resources import Resources

MIB = 1 << 20
GIB = 1 << 30

#: Stands in `environment` in place of a secret variable's value.
SECRET_SHOWN = "***"  # noqa: S105


class ContainerStatus(StrEnum):
    """Where a container is in its life. The last five are final."""

    QUEUED = "QUEUED"
    STARTING = "STARTING"
    RUNNING = "RUNNING"
    IDLE = "IDLE"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    TERMINATED = "TERMINATED"
    TIMEOUT = "TIMEOUT"

    @property
    def final(self) -> bool:
        """True once the container has ended; it never leaves such a state."""
        return self in _FINAL


_FINAL = frozenset(
    {
        ContainerStatus.COMPLETED,
        ContainerStatus.FAILED,
        ContainerStatus.CANCELLED,
        ContainerStatus.TERMINATED,
        ContainerStatus.TIMEOUT,
    }
)


class ContainerType(StrEnum):
    """COMPUTE runs the user's image; SESSION is a code-interpreter container."""

    COMPUTE = "COMPUTE"
    SESSION = "SESSION"


class Reason(StrEnum):
    """Why a container ended, for programs."""

    EXIT = "exit"
    TIMEOUT = "timeout"
    IDLE = "idle"
    BUDGET = "budget"
    OOM = "oom"
    DISK = "disk"
    USER = "user"
    IMAGE = "image"
    HOST = "host"
    GUEST = "guest"
    SHUTDOWN = "shutdown"


class Isolation(StrEnum):
    """How strongly a sandbox is separated from the host, strongest first."""

    MICROVM = "microvm"
    GVISOR = "gvisor"
    CONTAINER = "container"


#: Strongest first; `auto` takes the first that the host can really run.
ISOLATION_BY_STRENGTH = tuple(Isolation)


@dataclass(frozen=True, slots=True)
class PortMapping:
    """One port inside the container and its public address (`pending` until it is reachable)."""

    container_port: int
    protocol: str = "tcp"
    url: str = "pending"


@dataclass(frozen=True, slots=True)
class Usage:
    """What a container has used so far: CPU seconds, and the highest memory and current disk use in bytes."""

    cpu_seconds: float = 0.0
    memory_peak_bytes: int = 0
    disk_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Activity:
    """What a guest counted until `at`: CPU seconds of all processes but its own, bytes that went in and came out."""

    at: datetime
    cpu_seconds: float
    input_bytes: int
    output_bytes: int


@dataclass(frozen=True, slots=True)
class End:
    """How a container ended, or is asked to end: the final state, the reason and a sentence for people."""

    status: ContainerStatus
    reason: Reason
    message: str | None = None
    exit_code: int | None = None


@dataclass(frozen=True, slots=True)
class ContainerRequest:
    """What a user asks for. None means: the server's default. Already checked for form, not for what the host can.

    `secrets` are the values of the variables that stand in `environment` as SECRET_SHOWN.
    """

    image: str
    resources: Resources
    max_cost_credits: float
    command: tuple[str, ...] | None = None
    persistent: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    networking: bool = False
    port_mapping: PortMapping | None = None
    timeout_seconds: int | None = None
    expires_at: datetime | None = None
    idle_timeout_seconds: int | None = None
    isolation: str = "auto"
    name: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ContainerChange:
    """What a user changes about a container. None: stays. `expires_at` goes before `timeout_seconds`."""

    timeout_seconds: int | None = None
    expires_at: datetime | None = None
    idle_timeout_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class ContainerFilter:
    """Which containers to list: all conditions hold together; `metadata` entries must all match."""

    status: ContainerStatus | None = None
    container_type: ContainerType | None = None
    name: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Container:
    """The record of a container.

    What the user asked for: everything down to `created_at`. Desired: `wanted_end` (None means: shall run).
    Observed: `status` and what follows. Times are UTC. `prices` are those of the day it was accepted. `secrets` are the
    values that `environment` shows as SECRET_SHOWN; they are forgotten when it ends. `sequence` is the order in which
    the store accepted it: clocks may stand still or go back. `queue_position` is not stored: 1 is the next to start.

    `expires_at` is its one deadline. If the user named it (`expires_fixed`) it is that time of day. Else it is so many
    seconds of being held: it ends when its meter stands at `expires_held` microseconds (set when it starts, so waiting
    costs no time), and `expires_at` shows when that will be.
    """

    id: str
    account_id: str
    image: str
    command: tuple[str, ...] | None
    persistent: bool
    container_type: ContainerType
    resources: Resources
    environment: Mapping[str, str]
    networking: bool
    port_mapping: PortMapping | None
    max_cost_credits: float
    timeout_seconds: int
    expires_at: datetime
    expires_fixed: bool
    isolation_requested: str
    name: str | None
    metadata: Mapping[str, str]
    created_at: datetime
    updated_at: datetime
    idle_timeout_seconds: int | None = None
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)

    wanted_end: End | None = None

    status: ContainerStatus = ContainerStatus.QUEUED
    end: End | None = None
    isolation: Isolation | None = None
    image_id: str | None = None
    image_notice: str | None = None
    progress: str | None = None
    handle: Mapping[str, Any] | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    usage: Usage = field(default_factory=Usage)
    active_at: datetime | None = None
    activity: Activity | None = None
    sequence: int = field(default=0, compare=False)
    queue_position: int | None = None
    prices: Prices = field(default_factory=Prices)
    meter: Meter = field(default_factory=Meter)
    expires_held: int | None = None
    budget_warned_at: datetime | None = None

    @property
    def cost(self) -> float:
        """What it has cost, in credits, until its meter was read: never more than its limit."""
        return self.bill(self.meter) / MICRO

    def bill(self, meter: Meter) -> int:
        """Return what it costs with its meter at `meter`, in millionths of a credit: never beyond its limit."""
        total = cost(self.resources, meter.seconds, self.prices).micro
        return min(total, micro_credits(self.max_cost_credits))
