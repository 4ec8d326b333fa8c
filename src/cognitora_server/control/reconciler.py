"""Makes what is the case match what is written.

One task per container that has not ended takes it through its life. A regular look at all of them enforces
deadlines and budgets and clears away whatever is on the host without a container that has not ended.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

import structlog

from cognitora_server.domain.containers import GIB, Container, ContainerStatus, End, Reason
from cognitora_server.domain.errors import DriverError, ResourcesUnavailable
from cognitora_server.drivers.base import Driver

from .activity import ActivityWatch
from .budgets import Budgets
from .lifecycle import Lifecycle, Workshop, destroy
from .limits import HostCapacity
from .live import Live, LiveContainers, first_of
from .metering import Metering, due, meter_of
from .queue import Queue
from .retention import Retention

_log = logging.getLogger(__name__)

_LOOK_SECONDS = 0.5
_SWEEP_EVERY_LOOKS = 120
_RETRY_SECONDS = 5.0
#: Without a whole look for this long deadlines and budgets are not kept any more.
_LATE_LOOK_SECONDS = 30.0


class Reconciler:
    """Runs the lives of all containers of this server."""

    def __init__(self, workshop: Workshop) -> None:
        self.live = LiveContainers()
        self._host = HostCapacity(workshop.settings)
        self.queue = Queue(self._host)
        self._shop = workshop
        self.metering = Metering(workshop.store, workshop.clock)
        self._retention = Retention(workshop.store, workshop.settings, workshop.clock)
        self._activity = ActivityWatch(workshop.settings, workshop.clock)
        self._budgets = Budgets(workshop.store, workshop.settings, workshop.clock)
        self._tasks: set[asyncio.Task[None]] = set()
        self._looked_at = time.monotonic()

    def trouble(self) -> str | None:
        """Say what keeps deadlines and budgets from being enforced; None while they are."""
        late = time.monotonic() - self._looked_at
        if late < _LATE_LOOK_SECONDS:
            return None
        return f"Deadlines and budgets were last enforced {late:.0f} s ago; the server's log says why."

    async def start(self) -> None:
        """Find again what an earlier server left, clear away what no container owns, begin to look regularly."""
        containers = await self._shop.store.containers.unfinished()
        await self._reject_lost_executions(containers)
        started = await self._on_host()
        for container in containers:
            if container.status is not ContainerStatus.QUEUED or container.id in started:
                self.queue.hold(container)
        for container in containers:
            self.take_up(await self._possible(container))
        await self.sweep()
        self._looked_at = time.monotonic()
        self._hold(asyncio.create_task(self._look_regularly()))

    async def _on_host(self) -> set[str]:
        """Return the ids of all sandboxes: their start is under way, even where that was not written any more."""
        found: set[str] = set()
        for driver in self._shop.drivers.all():
            try:
                found |= await driver.sandboxes()
            except DriverError as error:
                _log.warning("nothing could be found of %s isolation: %s", driver.isolation, error.message)
        return found

    async def _possible(self, container: Container) -> Container:
        """Return the container, marked to end if it waits for more than this host gives any more."""
        if container.status is not ContainerStatus.QUEUED or container.wanted_end is not None:
            return container
        try:
            self._host.check(container.resources)
        except ResourcesUnavailable as error:
            end = End(ContainerStatus.FAILED, Reason.HOST, error.message)
            return await self._shop.store.containers.change(container.id, wanted_end=end) or container
        return container

    async def _reject_lost_executions(self, containers: Sequence[Container]) -> None:
        """End the executions that no container can tell about: it has ended, or had not started."""
        alive = {container.id for container in containers if container.started_at is not None}
        for execution in await self._shop.store.executions.unfinished():
            if execution.container_id not in alive:
                await self._shop.executions.reject(execution, "The server was restarted before this could run.")

    async def stop(self) -> None:
        """Stop following. Containers go on running; the next server finds them."""
        await self._tick_for_the_last_time()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        for live in self.live:
            for execution in list(live.executions):
                execution.cancel()
                tasks.append(execution)  # type: ignore[arg-type]
        await asyncio.gather(*tasks, return_exceptions=True)
        for live in self.live:
            await live.close()

    async def _tick_for_the_last_time(self) -> None:
        try:
            await self.metering.tick(self.live)
        except Exception:
            _log.exception("the meters could not be read for the last time; they go on from their last reading")

    def take_up(self, container: Container) -> None:
        """Begin to take a container through its life, which may be to wait for room first."""
        live = Live(container, self._shop.store)
        self.live.add(live)
        turn = live.end_wanted if live.end_wanted.is_set() else self.queue.join(container)
        self._hold(asyncio.create_task(self._life_of(live, turn)))

    async def _life_of(self, live: Live, turn: asyncio.Event) -> None:
        # Not of the request that made it, which this outlives.
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(container_id=live.container.id)
        await first_of(turn, live.end_wanted)
        while not live.ended.is_set():
            try:
                await Lifecycle(live, self._shop).run()
            except Exception:
                _log.exception("its life was cut short here; it is taken up again")
                await asyncio.sleep(_RETRY_SECONDS)
        self.live.remove(live.container.id)
        self.queue.leave(live.container.id)

    def _hold(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._let_go)

    def _let_go(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            _log.error("a task of the reconciler failed", exc_info=task.exception())

    async def _look_regularly(self) -> None:
        looks = 0
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            looks += 1
            try:
                await self.look()
                if looks % _SWEEP_EVERY_LOOKS == 0:
                    self._hold(asyncio.create_task(self._retention.prune()))
                    await self.sweep()
            except Exception:
                # Whatever it was, deadlines and budgets must go on being kept.
                _log.exception("a look at the containers failed; the next one follows")

    async def look(self) -> None:
        """Enforce deadlines, budgets and the disk reserve; see what is idle."""
        for live in self.live:
            try:
                await self.metering.warn(live)
                if (end := self._due(live)) is not None:
                    await live.want_end(end)
                    continue
                await self._activity.wake(live)
                if self._activity.due(live):
                    self._hold(asyncio.create_task(self._activity.ask(live)))
            except Exception:
                extra = {"container_id": live.container.id}
                _log.exception("could not be looked at; the next look follows", extra=extra)
        await self._budgets.enforce(self.live)
        await self.metering.tick_if_due(self.live)
        await self._keep_disk_reserve()
        self._looked_at = time.monotonic()

    def _due(self, live: Live) -> End | None:
        return due(live.container, meter_of(live, self._shop.clock.steady()), self._shop.clock.now())

    async def _keep_disk_reserve(self) -> None:
        settings = self._shop.settings
        free = _free_bytes(settings.data_dir)
        if free >= settings.disk_reserve_bytes:
            return
        used = {live: (await live.sandbox.usage()).disk_bytes for live in self.live if live.sandbox is not None}
        if not used:
            return
        largest = max(used, key=lambda live: used[live])
        if used[largest] < settings.disk_reserve_bytes - free and used[largest] < GIB // 16:
            _log.warning("the data directory's disk has %d bytes left, and not because of a container", free)
            return
        await largest.want_end(
            End(
                ContainerStatus.TERMINATED,
                Reason.DISK,
                f"The host's disk was nearly full and this container used most of it ({used[largest]} bytes).",
            )
        )

    async def sweep(self) -> None:
        """Clear away every sandbox, or piece of one, whose container has ended or is not known."""
        for driver in self._shop.drivers.all():
            try:
                await self._sweep(driver)
            except DriverError as error:
                _log.warning("nothing could be swept of %s isolation: %s", driver.isolation, error.message)

    async def _sweep(self, driver: Driver) -> None:
        for container_id in await driver.sandboxes():
            if self.live.get(container_id) is None:
                extra = {"container_id": container_id}
                _log.warning("left over on the host without a running container: removed", extra=extra)
                await destroy(driver, container_id)


def _free_bytes(folder: Path) -> int:
    return shutil.disk_usage(folder).free
