"""Containers: create, run, look, end."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from datetime import datetime

from .. import _wire
from .._waiting import async_sleep
from ..errors import WaitTimeoutError
from ..inputs import Environment, Isolation
from ..models import (
    CancelResult,
    ContainerLogs,
    ContainerUpdateResponse,
    CostEstimate,
    Execution,
    PersistentContainer,
    RunResult,
)
from ..records import Page
from .executions import AsyncExecutions

_FIRST_POLL_SECONDS = 0.1


class AsyncContainers(AsyncExecutions):
    """Everything about containers.

    Every call raises CognitoraError: AuthenticationError for a wrong key, NotFoundError for an id that the account does
    not have, InvalidRequestError for what cannot be done as asked, APIConnectionError without a server.
    """

    async def create_container(
        self,
        image: str,
        cpu_cores: float,
        memory_mb: int,
        max_cost_credits: float | None = None,
        command: Sequence[str] | None = None,
        persistent: bool = False,
        environment: Environment | None = None,
        timeout_seconds: int | None = None,
        expires_at: str | datetime | None = None,
        storage_gb: int | None = None,
        gpu_count: int = 0,
        networking: bool | None = None,
        *,
        port_mapping: Mapping[str, object] | None = None,
        isolation: Isolation | None = None,
        name: str | None = None,
        metadata: Mapping[str, str] | None = None,
        idle_timeout_seconds: int | None = None,
        idempotency_key: str | None = None,
    ) -> Execution:
        """Create a container; return it at once, while it still starts.

        image: as docker names it.
        cpu_cores, memory_mb, storage_gb, gpu_count: what it may use: cores, MiB, GiB (default 5), GPUs.
        max_cost_credits: it is ended before it costs more. Left out, what its whole lifetime costs is asked for
            (`estimate_cost`) and sent.
        command: the program and its arguments, in place of the image's own.
        persistent: whether it outlives its command, for `execute_in_container`.
        timeout_seconds, expires_at: its lifetime in seconds (default 300, persistent 86400) or its end.
        environment: variables, beside the image's own; a `Secret` is never shown again.
        networking, port_mapping: access to outside, and `{"container_port": 80}` to publish. Default: none.
        isolation: how it is separated from the host; the strongest that there is by default.
        name, metadata: your own words, to find it again.
        idle_timeout_seconds: it is ended after so long without activity inside.
        idempotency_key: the same key and arguments give the same container for 24 hours.
        """
        if max_cost_credits is None:
            seconds = _wire.lifetime_seconds(timeout_seconds, expires_at, persistent)
            timeout_seconds = seconds if expires_at is None else timeout_seconds
            covered = seconds + _wire.BUDGET_MARGIN_SECONDS
            estimate = await self.estimate_cost(cpu_cores, memory_mb, storage_gb, gpu_count, covered)
            max_cost_credits = estimate.estimated_credits
        body = _wire.given(
            image=image,
            cpuCores=cpu_cores,
            memoryMb=memory_mb,
            maxCostCredits=max_cost_credits,
            command=command,
            persistent=persistent,
            environment=environment,
            timeoutSeconds=timeout_seconds,
            expiresAt=expires_at,
            storageGb=storage_gb,
            gpuCount=gpu_count,
            networking=networking,
            portMapping=port_mapping,
            isolation=isolation,
            name=name,
            metadata=metadata,
            idleTimeoutSeconds=idle_timeout_seconds,
        )
        key = _wire.key(idempotency_key)
        return Execution(_wire.own(await self._transport.post(_wire.path("containers"), body, key)))

    async def create_persistent_container(
        self,
        image: str,
        cpu_cores: float,
        memory_mb: int,
        max_cost_credits: float | None = None,
        command: Sequence[str] | None = None,
        timeout_seconds: int | None = None,
        expires_at: str | datetime | None = None,
        environment: Environment | None = None,
        storage_gb: int | None = None,
        gpu_count: int = 0,
        networking: bool | None = None,
        *,
        port_mapping: Mapping[str, object] | None = None,
        isolation: Isolation | None = None,
        name: str | None = None,
        metadata: Mapping[str, str] | None = None,
        idle_timeout_seconds: int | None = None,
        idempotency_key: str | None = None,
    ) -> PersistentContainer:
        """Create a container that outlives its command; see `create_container`."""
        container = await self.create_container(
            image,
            cpu_cores,
            memory_mb,
            max_cost_credits,
            command,
            True,
            environment,
            timeout_seconds,
            expires_at,
            storage_gb,
            gpu_count,
            networking,
            port_mapping=port_mapping,
            isolation=isolation,
            name=name,
            metadata=metadata,
            idle_timeout_seconds=idle_timeout_seconds,
            idempotency_key=idempotency_key,
        )
        return PersistentContainer(container)

    async def list_containers(
        self,
        limit: int = 50,
        offset: int = 0,
        status: str | None = None,
        *,
        container_type: str | None = None,
        name: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> Page[Execution]:
        """Return a page of the account's containers, newest first: at most 100, those that match all that is given."""
        query = _wire.given(limit=limit, offset=offset, status=status, containerType=container_type, name=name)
        query |= _wire.metadata_query(metadata)
        return _wire.page(Execution, await self._transport.get(_wire.path("containers"), query))

    async def get_container(self, container_id: str) -> Execution:
        """Return a container as it is now. An execution's id (`exec_…`) gives that execution, in the same form."""
        return Execution(_wire.own(await self._transport.get(_wire.path("containers", container_id))))

    async def update_container(
        self,
        container_id: str,
        timeout_seconds: int | None = None,
        expires_at: str | datetime | None = None,
        *,
        idle_timeout_seconds: int | None = None,
    ) -> ContainerUpdateResponse:
        """Give a container a new deadline, in seconds from now or as an instant, or a new idle timeout.

        ConflictError if it has ended.
        """
        body = _wire.given(
            timeoutSeconds=timeout_seconds, expiresAt=expires_at, idleTimeoutSeconds=idle_timeout_seconds
        )
        answer = await self._transport.patch(_wire.path("containers", container_id), body)
        return ContainerUpdateResponse(_wire.own(answer))

    async def cancel_container(self, container_id: str) -> CancelResult:
        """End a container and everything in it. One that has ended stays as it is; that is no error."""
        return CancelResult(_wire.own(await self._transport.delete(_wire.path("containers", container_id))))

    async def get_container_logs(self, container_id: str) -> ContainerLogs:
        """Return what a container's own command has written so far; it is text, also as `.logs`."""
        return ContainerLogs((await self._transport.get(_wire.path("containers", container_id, "logs")))["logs"])

    async def estimate_cost(
        self,
        cpu_cores: float,
        memory_mb: int,
        storage_gb: int | None = None,
        gpu_count: int = 0,
        timeout_seconds: int = _wire.ONE_SHOT_SECONDS,
    ) -> CostEstimate:
        """Return what these resources cost, in credits, held for `timeout_seconds`. Nothing is created."""
        body = _wire.given(
            cpuCores=cpu_cores,
            memoryMb=memory_mb,
            storageGb=storage_gb,
            gpuCount=gpu_count,
            timeoutSeconds=timeout_seconds,
        )
        return CostEstimate(await self._transport.post(_wire.path("estimate"), body))

    async def wait_for_completion(
        self, container_id: str, timeout_seconds: float | None = 300, poll_interval: float = 5
    ) -> Execution:
        """Wait until a container has ended, and return it.

        It is looked at soon first, then less and less often, at last every `poll_interval` seconds. After
        `timeout_seconds` WaitTimeoutError (a TimeoutError) is raised and the container goes on; None waits as long as
        it lives.
        """
        deadline = math.inf if timeout_seconds is None else time.monotonic() + timeout_seconds
        pause = min(_FIRST_POLL_SECONDS, poll_interval)
        while not (container := await self.get_container(container_id)).ended:
            left = deadline - time.monotonic()
            if left <= 0:
                raise WaitTimeoutError(
                    f"Container {container_id} did not end within {timeout_seconds} seconds; it is {container.status}."
                )
            await async_sleep(min(pause, left))
            pause = min(pause * 1.5, poll_interval)
        return container

    async def run_and_wait(
        self,
        image: str,
        command: Sequence[str],
        cpu_cores: float,
        memory_mb: int,
        max_cost_credits: float | None = None,
        environment: Environment | None = None,
        timeout_seconds: int | None = None,
        storage_gb: int | None = None,
        gpu_count: int = 0,
        networking: bool | None = None,
        *,
        isolation: Isolation | None = None,
        name: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> RunResult:
        """Run a command in a container of its own; return the container once it has ended, and what it wrote.

        A command that takes longer than `timeout_seconds` (default 300) ends with status TIMEOUT; that is a result.
        """
        container = await self.create_container(
            image,
            cpu_cores,
            memory_mb,
            max_cost_credits,
            command,
            environment=environment,
            timeout_seconds=timeout_seconds,
            storage_gb=storage_gb,
            gpu_count=gpu_count,
            networking=networking,
            isolation=isolation,
            name=name,
            metadata=metadata,
        )
        ended = await self.wait_for_completion(container.id, None, 1)
        return RunResult(execution=ended, logs=await self.get_container_logs(container.id))
