"""Takes one container from accepted to ended: boot, main process, watch, end, clean-up."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from typing import Any, Protocol, TypeVar

from cognitora_server.domain.clock import MICROSECONDS, Clock
from cognitora_server.domain.containers import Container, ContainerStatus, End, Reason
from cognitora_server.domain.credits import MICRO
from cognitora_server.domain.errors import CognitoraError, DriverError, GuestError, IsolationUnavailable, SandboxGone
from cognitora_server.domain.executions import Execution, ExecutionStatus
from cognitora_server.domain.ids import EXECUTION, new_id
from cognitora_server.domain.images import Image, ImageError, ImageReference
from cognitora_server.domain.meters import Meter
from cognitora_server.drivers.base import Driver, Sandbox, SandboxExit, SandboxSpec
from cognitora_server.guest import GuestClient, ProcessSpec
from cognitora_server.settings import Settings
from cognitora_server.store import Store

from .isolation import Drivers
from .live import Live, ProcessDefaults
from .metering import Metering
from .metrics import Metrics
from .output import OutputCollector, head_and_tail
from .processes import ExecutionRunner, out_of_memory

_log = logging.getLogger(__name__)

Result = TypeVar("Result")

#: How long the executions of an ending container may take to write down their end.
_SETTLE_SECONDS = 10.0

#: The guest agent is asked this often, and may leave this many questions in a row unanswered.
_PING_SECONDS = 10.0
_MISSES = 4

_SILENT = End(
    ContainerStatus.FAILED,
    Reason.GUEST,
    "The guest agent does not answer any more: something in the container stopped it, or left it no memory or time.",
)


class Images(Protocol):
    """Where images come from."""

    async def ensure(self, reference: ImageReference, on_progress: Callable[[Any], None] | None = None) -> Image:
        """Return the image, pulled if it is not here; progress is told as objects that read well. Raises ImageError."""
        ...


@dataclass(frozen=True, slots=True)
class Workshop:
    """What it takes to run containers."""

    store: Store
    images: Images
    drivers: Drivers
    executions: ExecutionRunner
    settings: Settings
    clock: Clock
    starts: asyncio.Semaphore
    metrics: Metrics = field(default_factory=Metrics)


class Lifecycle:
    """The life of one container. `run` may be cancelled at any point: the next server takes up from the store."""

    def __init__(self, live: Live, workshop: Workshop) -> None:
        self._live = live
        self._shop = workshop
        self._metering = Metering(workshop.store, workshop.clock)

    async def run(self) -> None:
        """Bring the container up (or find it again), watch it, and end it."""
        try:
            end = self._live.end or await self._until_end()
            await self._finish(end)
        finally:
            await self._live.close()

    async def _until_end(self) -> End:
        if (wish := self._live.container.wanted_end) is not None:
            return wish  # of an earlier server, which did not get to it
        life = asyncio.create_task(self._guarded_life())
        wanted = asyncio.create_task(self._live.end_wanted.wait())
        try:
            await asyncio.wait({life, wanted}, return_when=asyncio.FIRST_COMPLETED)
            return self._live.container.wanted_end or life.result()
        finally:
            await _cancelled(life)
            await _cancelled(wanted)

    async def _guarded_life(self) -> End:
        try:
            return await self._life()
        except ImageError as error:
            return End(ContainerStatus.FAILED, Reason.IMAGE, error.message)
        except (DriverError, IsolationUnavailable) as error:
            return End(ContainerStatus.FAILED, Reason.HOST, error.message)
        except GuestError as error:
            return End(ContainerStatus.FAILED, Reason.GUEST, error.message)
        except CognitoraError as error:
            return End(ContainerStatus.FAILED, Reason.HOST, error.message)
        except Exception:
            _log.exception("unexpected failure")
            return End(
                ContainerStatus.FAILED, Reason.HOST, "The server failed unexpectedly; its log says how. Try again."
            )

    async def _life(self) -> End:
        if self._live.container.status in (ContainerStatus.RUNNING, ContainerStatus.IDLE):
            return await self._watch(await self._find_again())
        return await self._watch(await self._start())

    # Starting

    async def _start(self) -> asyncio.Task[Execution] | None:
        live = self._live
        self._shop.metrics.queued((self._shop.clock.now() - live.container.created_at).total_seconds())
        # Written while the sandbox boots: nothing waits for this but what is written next.
        marked = asyncio.create_task(live.change(status=ContainerStatus.STARTING, updated_at=self._shop.clock.now()))
        image = await self._shop.images.ensure(ImageReference.parse(live.container.image), self._report)
        live.progress = None
        command = main_command(live.container, image)
        if command is None and not live.container.persistent:
            raise ImageError(
                f"The image {live.container.image} has no command of its own: give `command`, or make the container "
                "persistent."
            )
        driver = self._shop.drivers.choose(live.container.isolation_requested)
        live.driver = driver
        begun = time.monotonic()
        async with self._shop.starts:
            spec = SandboxSpec(live.container.id, image, live.container.resources, live.container.networking)
            live.process_defaults = ProcessDefaults.of(image)
            self._connect(await driver.create(spec))
        await marked
        main = self._main_execution(command) if command else None
        await self._mark_running(image, driver, main)
        self._shop.metrics.started(driver.isolation, time.monotonic() - begun)
        live.ready.set()
        return self._run_main(main) if main else None

    def _report(self, progress: object) -> None:
        self._live.show_progress(str(progress))

    def _connect(self, sandbox: Sandbox) -> None:
        live = self._live
        live.sandbox = sandbox
        live.guest = GuestClient(sandbox.guest_socket)

    async def _mark_running(self, image: Image, driver: Driver, main: Execution | None) -> None:
        async with self._live.deadline:
            await self._write_running(image, driver, main)

    async def _write_running(self, image: Image, driver: Driver, main: Execution | None) -> None:
        live, now = self._live, self._shop.clock.now()
        expires_at, expires_held = live.container.expires_at, None
        if not live.container.expires_fixed:
            expires_at = now + timedelta(seconds=live.container.timeout_seconds)
            expires_held = live.container.timeout_seconds * MICROSECONDS
        assert live.sandbox is not None
        live.active_at = now
        handle = {"sandbox": live.sandbox.handle, "process": asdict(live.process_defaults)}
        await live.change(
            main,
            status=ContainerStatus.RUNNING,
            isolation=driver.isolation,
            image_id=image.id,
            image_notice=image.notice,
            progress=None,
            handle=handle,
            started_at=now,
            active_at=now,
            updated_at=now,
            expires_at=expires_at,
            expires_held=expires_held,
            meter=Meter().started(self._shop.clock.steady()),
        )

    def _main_execution(self, command: tuple[str, ...]) -> Execution:
        container, now = self._live.container, self._shop.clock.now()
        return Execution(
            id=new_id(EXECUTION),
            container_id=container.id,
            account_id=container.account_id,
            image=container.image,
            command=command,
            main=True,
            networking=container.networking,
            status=ExecutionStatus.RUNNING,
            created_at=now,
            started_at=now,
        )

    def _run_main(self, main: Execution) -> asyncio.Task[Execution]:
        limit = self._shop.settings.output_limit_bytes
        head, tail = head_and_tail(limit)
        self._live.main_output = OutputCollector(limit)
        spec = ProcessSpec(
            id=main.id,
            argv=main.command,
            env=self._live.environment({}),
            cwd=self._live.process_defaults.directory,
            user=self._live.process_defaults.user,
            head_bytes=head,
            tail_bytes=tail,
        )
        run = self._shop.executions.run(self._live, main, spec, self._live.main_output)
        return self._live.hold(run)

    # Finding again after a restart

    async def _find_again(self) -> asyncio.Task[Execution] | None:
        live = self._live
        container = live.container
        live.driver = self._shop.drivers.of(container.isolation)
        handle = container.handle or {}
        live.process_defaults = ProcessDefaults(**handle.get("process", {}))
        try:
            sandbox = await live.driver.recover(container.id, handle.get("sandbox", {}))
        except SandboxGone as error:
            raise DriverError(f"Its sandbox ended while the server was down. {error.message}") from error
        self._connect(sandbox)
        live.ready.set()
        main = await self._shop.store.executions.main_of(container.id)
        for execution in await self._shop.store.executions.unfinished(container.id):
            if not execution.main:
                output = OutputCollector(self._shop.settings.output_limit_bytes)
                live.hold(self._shop.executions.resume(live, execution, output))
        if main is None or not main.status.final:
            return self._run_main(main) if main else None
        return live.hold(_already(main))

    # Watching

    async def _watch(self, main: asyncio.Task[Execution] | None) -> End:
        live = self._live
        assert live.sandbox is not None
        gone = asyncio.create_task(live.sandbox.wait())
        silent = asyncio.create_task(self._until_silent())
        try:
            waits: set[asyncio.Task[Any]] = {gone, silent}
            if main is not None and not live.container.persistent:
                waits.add(main)
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            if main is not None and main in waits and main.done():
                return self._end_of_main(main.result())
            if silent.done() and not gone.done():
                return _SILENT
            return _end_of_sandbox(live.container, await gone)
        finally:
            await _cancelled(gone)
            await _cancelled(silent)

    async def _until_silent(self) -> None:
        """Return when the guest agent has not answered for so long that it never will: stopped from inside."""
        assert self._live.guest is not None
        misses = 0
        while misses < _MISSES:
            await asyncio.sleep(_PING_SECONDS)
            try:
                await self._live.guest.ping(_PING_SECONDS)
                misses = 0
            except GuestError:
                misses += 1

    def _end_of_main(self, main: Execution) -> End:
        if main.exit_code == 0:
            return End(ContainerStatus.COMPLETED, Reason.EXIT, None, 0)
        reason = Reason.EXIT if main.exit_code is not None else Reason.GUEST
        if (cause := self._live.causes.get(main.id)) is not None:
            reason = cause
        message = main.error_message or f"Its command exited with code {main.exit_code}; see its logs."
        return End(ContainerStatus.FAILED, reason, message, main.exit_code)

    # Ending

    async def _finish(self, end: End) -> None:
        live = self._live
        live.end = end
        live.end_known.set()
        # Written before anything is destroyed: a server that takes over then knows how it ended, and when it was over.
        usage = await live.sandbox.usage() if live.sandbox is not None else live.container.usage
        active_at = live.active_at if live.container.started_at else None
        await self._metering.stop(live, usage=usage, wanted_end=end, active_at=active_at)
        busy = any(not task.done() for task in live.executions)
        if busy or end.reason is not Reason.EXIT:
            await self._destroy()
            await self._settle(end)
            await self._publish(end)
        else:
            # All is over inside: the answer need not wait for the clean-up.
            await self._publish(end)
            await self._destroy()

    async def _destroy(self) -> None:
        drivers = [self._live.driver] if self._live.driver else self._shop.drivers.all()
        for driver in drivers:
            await destroy(driver, self._live.container.id)

    async def _settle(self, end: End) -> None:
        tasks = {task for task in self._live.executions if not task.done()}
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=_SETTLE_SECONDS)
            for task in late:
                await _cancelled(task)
        for execution in await self._shop.store.executions.unfinished(self._live.container.id):
            await self._shop.executions.end_with(execution, end)

    async def _publish(self, end: End) -> None:
        now = self._shop.clock.now()
        await self._live.change(status=end.status, end=end, completed_at=now, updated_at=now, progress=None)
        container = self._live.container
        self._shop.metrics.ended(container, end, container.bill(container.meter) / MICRO)
        self._live.ended.set()
        extra = {"account_id": container.account_id, "status": end.status, "reason": end.reason}
        _log.info("ended: %s", end.message or end.reason, extra=extra)


def main_command(container: Container, image: Image) -> tuple[str, ...] | None:
    """Return what a container runs: its command in place of the image's ENTRYPOINT and CMD, or else those."""
    if container.command is not None:
        return container.command
    command = (*image.config.entrypoint, *image.config.cmd)
    return command or None


async def destroy(driver: Driver, container_id: str) -> None:
    """Remove a sandbox. A failure is logged, not raised: the reconciler tries again."""
    try:
        await driver.destroy(container_id)
    except DriverError as error:
        extra = {"container_id": container_id}
        _log.error("could not be removed whole, will be tried again: %s", error.message, extra=extra)


def _end_of_sandbox(container: Container, gone: SandboxExit) -> End:
    if gone.oom:
        return End(
            ContainerStatus.FAILED,
            Reason.OOM,
            out_of_memory(gone.memory_limit_bytes, gone.memory_peak_bytes),
        )
    detail = gone.detail or "The sandbox ended by itself."
    return End(ContainerStatus.FAILED, Reason.GUEST, f"{detail} All that ran in the container ended with it.")


async def _already(execution: Execution) -> Execution:
    return execution


async def _cancelled(task: asyncio.Task[Result]) -> None:
    """End a task and wait until it has; how it ends does not matter any more."""
    task.cancel()
    await asyncio.wait({task})
    if not task.cancelled():
        task.exception()
