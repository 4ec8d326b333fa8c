"""Containers on the wire: what is answered."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field

from ...domain.clock import MICROSECONDS
from ...domain.containers import SECRET_SHOWN, Container, ContainerStatus, ContainerType, Isolation, Reason
from ...domain.resources import Resources
from .base import CamelAnswer, Credits, Time


class ResourcesOut(CamelAnswer):
    """What a container may use."""

    cpu_cores: Credits
    memory_mb: int
    storage_gb: int
    gpu_count: int

    @classmethod
    def of(cls, resources: Resources) -> Self:
        """Spell the resources of the record."""
        return cls(
            cpu_cores=resources.cpu_cores,
            memory_mb=resources.memory_mb,
            storage_gb=resources.storage_gb,
            gpu_count=resources.gpu_count,
        )


class PortMappingOut(CamelAnswer):
    """A published port."""

    container_port: int
    protocol: str
    url: Annotated[str, Field(description="`pending` until it is reachable.")]


class UsageOut(CamelAnswer):
    """What a container has used so far."""

    cpu_seconds: float
    memory_peak_bytes: int
    disk_bytes: int


class ContainerOut(CamelAnswer):
    """A container."""

    id: Annotated[str, Field(examples=["cnt_0123456789abcdefghjk"])]
    status: ContainerStatus
    image: str
    image_notice: Annotated[str | None, Field(description="What to know about the image, such as a stand-in.")]
    command: list[str] | None
    container_type: ContainerType
    persistent: bool
    resources: ResourcesOut
    environment: Annotated[dict[str, str], Field(description=f"Secret values are shown as `{SECRET_SHOWN}`.")]
    networking: bool
    port_mapping: PortMappingOut | None
    max_cost_credits: Credits
    actual_cost_credits: Annotated[Credits, Field(description="Used so far: what `meteredSeconds` cost.")]
    budget_warned_at: Annotated[Time | None, Field(description="When 80 % of maxCostCredits were used.")]
    budget_warning: Annotated[str | None, Field(description="The same in a sentence, and what follows from it.")]
    timeout_seconds: int
    expires_at: Time
    idle_timeout_seconds: Annotated[int | None, Field(description="It ends after so long without activity.")]
    created_at: Time
    updated_at: Time
    started_at: Time | None
    completed_at: Time | None
    last_activity_at: Annotated[
        Time | None, Field(description="When something last went on inside; null before it starts.")
    ]
    runtime_seconds: Annotated[float, Field(description="Seconds it ran so far.")]
    metered_seconds: Annotated[int, Field(description="Seconds to be paid for: each that has begun.")]
    isolation: Annotated[Isolation | None, Field(description="What really holds it; null before it starts.")]
    progress: Annotated[str | None, Field(description="What it is waiting for, before it runs.")]
    queue_position: Annotated[
        int | None, Field(description="Its place among those that wait for room (1: next); null if it does not wait.")
    ]
    exit_code: int | None
    reason: Annotated[Reason | None, Field(description="Why it ended, for programs.")]
    error_message: Annotated[str | None, Field(description="Why it ended, and what to do, for people.")]
    usage: UsageOut
    name: str | None
    metadata: dict[str, str]

    @classmethod
    def of(cls, container: Container) -> Self:
        """Spell the record as it is."""
        end, mapping, usage = container.end, container.port_mapping, container.usage
        return cls(
            id=container.id,
            status=container.status,
            image=container.image,
            image_notice=container.image_notice,
            command=None if container.command is None else list(container.command),
            container_type=container.container_type,
            persistent=container.persistent,
            resources=ResourcesOut.of(container.resources),
            environment=dict(container.environment),
            networking=container.networking,
            port_mapping=mapping
            and PortMappingOut(container_port=mapping.container_port, protocol=mapping.protocol, url=mapping.url),
            max_cost_credits=container.max_cost_credits,
            actual_cost_credits=container.cost,
            budget_warned_at=container.budget_warned_at,
            budget_warning=_warning(container),
            timeout_seconds=container.timeout_seconds,
            expires_at=container.expires_at,
            idle_timeout_seconds=container.idle_timeout_seconds,
            created_at=container.created_at,
            updated_at=container.updated_at,
            started_at=container.started_at,
            completed_at=container.completed_at,
            last_activity_at=container.active_at,
            runtime_seconds=round(container.meter.held / MICROSECONDS, 3),
            metered_seconds=container.meter.seconds,
            isolation=container.isolation,
            progress=container.progress,
            queue_position=container.queue_position,
            exit_code=end.exit_code if end else None,
            reason=end.reason if end else None,
            error_message=end.message if end else None,
            usage=UsageOut(
                cpu_seconds=usage.cpu_seconds,
                memory_peak_bytes=usage.memory_peak_bytes,
                disk_bytes=usage.disk_bytes,
            ),
            name=container.name,
            metadata=dict(container.metadata),
        )


class ContainerAnswer(ContainerOut):
    """A container, and the same again under `data`."""

    data: ContainerOut


class UpdateOut(CamelAnswer):
    """A container's deadline."""

    id: str
    status: ContainerStatus
    expires_at: Time
    timeout_seconds: int
    idle_timeout_seconds: int | None
    updated_at: Time


class UpdateAnswer(UpdateOut):
    """A container's deadline, and the same again under `data`."""

    data: UpdateOut


class CancelOut(CamelAnswer):
    """What became of the wish to end a container."""

    id: str
    status: ContainerStatus
    message: str


class CancelAnswer(CancelOut):
    """What became of it, and the same again under `data`."""

    data: CancelOut


class LogsOut(CamelAnswer):
    """What the main command wrote, stdout and stderr as they came."""

    logs: str


class LogsAnswer(LogsOut):
    """The logs, and the same again under `data`."""

    data: LogsOut


class ContainerListAnswer(CamelAnswer):
    """One page of containers, newest first."""

    executions: Annotated[list[ContainerOut], Field(description="The containers.")]
    data: Annotated[list[ContainerOut], Field(description="The containers again.")]
    total: Annotated[int, Field(description="How many there are on all pages.")]
    limit: int
    offset: int


def _warning(container: Container) -> str | None:
    if container.budget_warned_at is None:
        return None
    limit = f"{container.max_cost_credits:.12g}"
    return f"It has used 80 % of its maxCostCredits ({limit}), and is ended before it costs more. Create it with more."
