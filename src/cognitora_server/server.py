"""The composition root: builds everything by function and runs it. Importing does no work."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from cognitora_server import logs
from cognitora_server.api.app import create_app
from cognitora_server.api.ports import Services
from cognitora_server.control.audit import AuditLog
from cognitora_server.control.containers import Containers
from cognitora_server.control.diagnosis import Report, report
from cognitora_server.control.executions import Executions
from cognitora_server.control.files import Files
from cognitora_server.control.health import Health
from cognitora_server.control.idempotency import Idempotency
from cognitora_server.control.isolation import Drivers
from cognitora_server.control.lifecycle import Workshop
from cognitora_server.control.metrics import Metrics
from cognitora_server.control.processes import ExecutionRunner
from cognitora_server.control.reconciler import Reconciler
from cognitora_server.control.usage import UsageReports
from cognitora_server.domain.clock import SystemClock
from cognitora_server.domain.errors import CognitoraError
from cognitora_server.drivers.base import Driver
from cognitora_server.drivers.oci import oci_drivers
from cognitora_server.host.images import ImageSettings, ImageStore, Rootfs
from cognitora_server.protocol import HttpProtocol
from cognitora_server.settings import Settings
from cognitora_server.store import Store
from cognitora_server.store.database import sqlite_url

_log = logging.getLogger(__name__)

_GRACE_SECONDS = 5


class DataDirInUse(CognitoraError):
    """Another server uses this data directory. Stop it, or name another one with --data-dir."""

    code = "data_dir_in_use"


class CannotListen(CognitoraError):
    """The server cannot listen there."""

    code = "cannot_listen"


@dataclass(frozen=True, slots=True)
class Host:
    """What a machine offers the control plane: its images, and its drivers as they were probed."""

    images: ImageStore
    rootfs: Rootfs
    drivers: list[Driver]


def image_settings(settings: Settings) -> ImageSettings:
    """Return what the image side is told."""
    return ImageSettings(
        data_dir=settings.data_dir,
        storage_root=settings.storage_root,
        registries_conf=settings.registries_conf,
        auth_file=settings.registry_auth_file,
        image_max_bytes=settings.image_max_bytes,
        disk_reserve_bytes=settings.disk_reserve_bytes,
        pull_timeout_seconds=settings.image_pull_timeout_seconds,
    )


def build_host(settings: Settings) -> Host:
    """Put together images and drivers. Nothing is started or tried yet."""
    images = ImageStore(image_settings(settings))
    rootfs = Rootfs(image_settings(settings), images)
    return Host(images, rootfs, oci_drivers(settings, rootfs))


async def probe(drivers: list[Driver], settings: Settings) -> Drivers:
    """Find out, by trying, which drivers work here."""
    probes = await asyncio.gather(*(driver.probe() for driver in drivers))
    return Drivers(list(zip(drivers, probes, strict=True)), settings.isolation, settings.minimum_isolation)


@asynccontextmanager
async def running_services(settings: Settings, host: Host | None = None) -> AsyncIterator[Services]:
    """Start everything below the API; stop it at the end. Containers go on running.

    Raises DataDirInUse and whatever keeps the database or a driver from starting.
    """
    async with AsyncExitStack() as stack:
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        stack.enter_context(_only_server_of(settings.data_dir))
        store = stack.enter_context(Store(settings.database_url or sqlite_url(settings.data_dir)))
        host = host or build_host(settings)
        drivers = await probe(host.drivers, settings)
        for driver in drivers.available():
            await driver.start()
            stack.push_async_callback(driver.stop)
        await host.images.start()
        stack.push_async_callback(_unmount_images, store, host)
        yield await _services(settings, store, host, drivers, stack)


async def _services(settings: Settings, store: Store, host: Host, drivers: Drivers, stack: AsyncExitStack) -> Services:
    clock, metrics = SystemClock(), Metrics()
    audit = AuditLog(store, clock)
    audit.start()
    stack.push_async_callback(audit.stop)
    runner = ExecutionRunner(store, clock, metrics)
    starts = asyncio.Semaphore(settings.concurrent_starts)
    workshop = Workshop(store, host.images, drivers, runner, settings, clock, starts, metrics)
    reconciler = Reconciler(workshop)
    metrics.watch(
        lambda: [live.container for live in reconciler.live], lambda: store.database.waiting, settings.data_dir
    )
    metrics.audit(lambda: audit.lost)
    store.database.on_done = metrics.stored
    host.images.watch_pulls(metrics.pulled)
    stack.callback(asyncio.create_task(metrics.measure_lag()).cancel)
    await reconciler.start()
    stack.push_async_callback(reconciler.stop)
    return Services(
        containers=Containers(store, reconciler, drivers, settings, clock),
        executions=Executions(store, reconciler, runner, settings, clock),
        files=Files(store, reconciler, settings, clock),
        keys=store.keys,
        audit=audit,
        usage=UsageReports(store, reconciler, settings, clock),
        metrics=metrics,
        idempotency=Idempotency(store, clock),
        health=Health(store, drivers, reconciler),
        settings=settings,
        clock=clock,
    )


async def _unmount_images(store: Store, host: Host) -> None:
    """Unmount the images that no container uses. Those that are starting may be about to use any."""
    unfinished = await store.containers.unfinished()
    if all(container.image_id for container in unfinished):
        await host.rootfs.unmount_unused({container.image_id for container in unfinished if container.image_id})


async def serve(settings: Settings) -> None:
    """Serve the API until SIGINT or SIGTERM."""
    logs.configure(settings.log_level, settings.log_format)
    listener = _listen(*settings.address)
    async with running_services(settings) as services:
        config = uvicorn.Config(
            create_app(services),
            loop="asyncio",  # uvloop starts processes twenty times slower
            http=HttpProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
        host, port = listener.getsockname()[:2]
        _log.info("listening on http://%s:%d", f"[{host}]" if ":" in host else host, port)
        await _Server(config).serve([listener])


class _Server(uvicorn.Server):
    """Ends on SIGINT and SIGTERM by returning: uvicorn's own would raise the signal again before we have cleaned up."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take the signals while the server runs."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)


async def diagnose(settings: Settings) -> Report:
    """Find out what this host can do, beside a server that may be running."""
    host = build_host(settings)
    return await report(await probe(host.drivers, settings), settings)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named because asyncio switches Nagle's algorithm off only where it is: 40 ms an answer.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(2048)
    except OSError as error:
        listener.close()
        raise CannotListen(
            f"The server cannot listen on {host}:{port}: {error.strerror}. If a server runs there already, use or stop "
            "that one; or choose another address with --listen."
        ) from error
    return listener


@contextlib.contextmanager
def _only_server_of(data_dir: Path) -> Iterator[None]:
    with (data_dir / "server.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DataDirInUse(f"Another server uses {data_dir}. Stop it, or name another --data-dir.") from error
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield
