"""What users do with containers. Writes intent; the reconciler makes it true."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from cognitora_server.domain.clock import MICROSECONDS, Clock, Steady
from cognitora_server.domain.containers import (
    Container,
    ContainerChange,
    ContainerFilter,
    ContainerRequest,
    ContainerStatus,
    ContainerType,
    End,
    Reason,
)
from cognitora_server.domain.credits import Cost, cost
from cognitora_server.domain.errors import Conflict
from cognitora_server.domain.ids import CONTAINER, new_id
from cognitora_server.domain.images import ImageReference
from cognitora_server.domain.pages import Listing, Page
from cognitora_server.domain.resources import Resources
from cognitora_server.settings import Settings
from cognitora_server.store import Store

from .access import missing
from .isolation import Drivers
from .limits import HostCapacity, check_request, deadline
from .reconciler import Reconciler

#: A cancelled container is normally gone in a fraction of a second; the answer waits no longer than this.
_CANCEL_WAIT_SECONDS = 10


class Containers:
    """The verbs of containers. Another account's container is NotFound."""

    def __init__(
        self, store: Store, reconciler: Reconciler, drivers: Drivers, settings: Settings, clock: Clock
    ) -> None:
        self._store = store
        self._reconciler = reconciler
        self._drivers = drivers
        self._settings = settings
        self._clock = clock
        self._host = HostCapacity(settings)

    async def create(self, account_id: str, request: ContainerRequest, idempotency_key: str | None = None) -> Container:
        """Accept a container; it starts on its own. The claimed key remembers it. Raises what can be known at once.

        InvalidImageReference, ResourcesUnavailable, IsolationUnavailable, NetworkingUnavailable, InvalidRequest.
        """
        ImageReference.parse(request.image)
        check_request(request, self._settings, self._host)
        self._drivers.choose(request.isolation)
        container = await self._store.containers.add(
            self._new(account_id, request), idempotency_key, self._settings.account_limits
        )
        self._reconciler.take_up(container)
        return self._reconciler.queue.seen(container)

    def _new(self, account_id: str, request: ContainerRequest) -> Container:
        now = self._clock.now()
        settings = self._settings
        default = settings.persistent_timeout_seconds if request.persistent else settings.one_shot_timeout_seconds
        seconds, expires_at, fixed = deadline(request.timeout_seconds, request.expires_at, default, now, settings)
        return Container(
            id=new_id(CONTAINER),
            account_id=account_id,
            image=request.image,
            command=request.command,
            persistent=request.persistent,
            container_type=ContainerType.COMPUTE,
            resources=request.resources,
            environment=request.environment,
            secrets=request.secrets,
            networking=request.networking,
            port_mapping=request.port_mapping,
            max_cost_credits=request.max_cost_credits,
            timeout_seconds=seconds,
            expires_at=expires_at,
            expires_fixed=fixed,
            idle_timeout_seconds=request.idle_timeout_seconds,
            isolation_requested=request.isolation,
            name=request.name,
            metadata=request.metadata,
            created_at=now,
            updated_at=now,
            prices=settings.prices,
        )

    async def get(self, account_id: str, container_id: str) -> Container:
        """Return a container, with its use and progress of this moment. Raises NotFound."""
        steady = self._clock.steady()
        container = await self._store.containers.get(container_id, account_id)
        if container is None:
            raise missing(f"container {container_id!r}", self._settings)
        return await self._seen_now(container, steady)

    async def list(self, account_id: str, wanted: ContainerFilter, page: Page) -> Listing[Container]:
        """Return a page of the account's containers, newest first."""
        steady = self._clock.steady()
        listing = await self._store.containers.list(account_id, wanted, page)
        return Listing(tuple(self._read(container, steady) for container in listing.items), listing.total)

    async def update(self, account_id: str, container_id: str, change: ContainerChange) -> Container:
        """Set a new deadline (so many seconds from now, or from its start; or an instant) or idle timeout.

        Raises NotFound, Conflict, InvalidRequest.
        """
        container = await self.get(account_id, container_id)
        changes = self._changes(change)
        live = self._reconciler.live.get(container_id)
        if container.status.final or live is None or live.end_wanted.is_set():
            raise Conflict(f"The container has ended ({container.status}): it cannot be changed.")
        async with live.deadline:
            if "expires_fixed" in changes:
                changes["expires_held"] = self._end_of_time(live.container, changes)
            changed = await live.change(**changes)
        if not changed:
            raise Conflict("The container has just ended: it cannot be changed.")
        return live.container

    def _changes(self, change: ContainerChange) -> dict[str, Any]:
        now = self._clock.now()
        changes: dict[str, Any] = {"updated_at": now}
        if change.idle_timeout_seconds is not None:
            changes["idle_timeout_seconds"] = change.idle_timeout_seconds
        if change.timeout_seconds is not None or change.expires_at is not None:
            seconds, instant, fixed = deadline(change.timeout_seconds, change.expires_at, 0, now, self._settings)
            changes.update(timeout_seconds=seconds, expires_at=instant, expires_fixed=fixed)
        return changes

    async def cancel(self, account_id: str, container_id: str) -> Container:
        """End a container at once, with all that runs in it. One that has ended stays as it is. Raises NotFound."""
        container = await self.get(account_id, container_id)
        live = self._reconciler.live.get(container_id)
        if live is None:
            return container
        await live.want_end(End(ContainerStatus.CANCELLED, Reason.USER, "Cancelled by a request."))
        try:
            async with asyncio.timeout(_CANCEL_WAIT_SECONDS):
                await live.ended.wait()
        except TimeoutError:
            return live.container
        return await self._store.containers.get(container_id, account_id) or container

    async def logs(self, account_id: str, container_id: str) -> str:
        """Return what the container's own command has written so far, stdout and stderr as they came."""
        await self.get(account_id, container_id)
        live = self._reconciler.live.get(container_id)
        if live is not None and live.main_output is not None:
            return live.main_output.text()
        main = await self._store.executions.main_of(container_id)
        return main.output.combined if main is not None else ""

    def estimate(self, resources: Resources, seconds: float) -> Cost:
        """Return what `resources` would cost, held for `seconds`."""
        return cost(resources, seconds, self._settings.prices)

    async def _seen_now(self, container: Container, steady: Steady) -> Container:
        live = self._reconciler.live.get(container.id)
        if live is None or container.status.final:
            return container
        seen = self._read(container, steady)
        usage = await live.sandbox.usage() if live.sandbox is not None else container.usage
        return replace(seen, usage=usage, progress=live.progress or seen.progress)

    def _read(self, container: Container, steady: Steady) -> Container:
        """Return a container with activity and place in the queue of this moment, and its meter at `steady`.

        That is when it was asked for in the store: had its meter been stopped by then, the store would have said so.
        The meter and activity of one that is not known to be held are as they stood.
        """
        live = self._reconciler.live.get(container.id)
        if live is None or live.sandbox is None or container.started_at is None:
            return self._reconciler.queue.seen(container)
        return replace(container, meter=container.meter.read(steady), active_at=live.active_at)

    def _end_of_time(self, container: Container, changes: Mapping[str, Any]) -> int | None:
        """Return where a container's meter stands when its new time is over; None if only the day's time tells."""
        if changes["expires_fixed"] or container.started_at is None:
            return None
        seconds: int = changes["timeout_seconds"]
        return container.meter.read(self._clock.steady()).held + seconds * MICROSECONDS
