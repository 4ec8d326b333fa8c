"""A control plane over the shipped fake driver, with a clock that the test moves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cognitora_server.control.containers import Containers
from cognitora_server.control.executions import Executions
from cognitora_server.control.isolation import Drivers
from cognitora_server.control.lifecycle import Workshop
from cognitora_server.control.processes import ExecutionRunner
from cognitora_server.control.reconciler import Reconciler
from cognitora_server.domain.clock import ManualClock
from cognitora_server.domain.containers import Container, ContainerFilter, ContainerRequest
from cognitora_server.domain.executions import ExecutionRequest
from cognitora_server.domain.images import Image, ImageConfig, ImageNotFound, ImageReference
from cognitora_server.domain.pages import Page
from cognitora_server.domain.resources import Resources
from cognitora_server.drivers.base import Driver
from cognitora_server.drivers.fake import FakeDriver
from cognitora_server.drivers.oci import agent_binary
from cognitora_server.host.images import PullProgress
from cognitora_server.settings import Settings, load_settings
from cognitora_server.store import Store
from cognitora_server.store.database import sqlite_url

SMALL = Resources(cpu_cores=1, memory_mb=128, storage_gb=1)
HOUR_CREDITS = 2.0 + 0.125 * 0.5 + 0.01


class HostImages:
    """Images for a driver that uses none: `host` runs on the host itself, `silent` has no command.

    While `hold` is set to an event, every image is being pulled until it happens.
    """

    hold: asyncio.Event | None = None

    async def ensure(self, reference: ImageReference, on_progress: Callable[[Any], None] | None = None) -> Image:
        command = {"host": ("sh", "-c", "echo from the image"), "silent": ()}.get(reference.repository)
        if on_progress is not None:
            on_progress(PullProgress("downloading", 1, 3))
        if self.hold is not None:
            await self.hold.wait()
        if command is None:
            raise ImageNotFound(f"There is no image {reference}.")
        config = ImageConfig(cmd=command, env={"FROM_IMAGE": "1", "PATH": "/usr/bin:/bin"})
        return Image("0" * 64, "sha256:0", (str(reference),), config, 0, datetime(2026, 1, 1, tzinfo=UTC))


@dataclass
class Control:
    """A control plane, and what it stands on."""

    store: Store
    images: HostImages
    reconciler: Reconciler
    containers: Containers
    executions: Executions
    clock: ManualClock
    account: str

    async def create(self, image: str = "localhost/host", **fields: Any) -> Container:
        request = ContainerRequest(image, fields.pop("resources", SMALL), fields.pop("max_cost_credits", 100), **fields)
        return await self.containers.create(self.account, request)

    async def get(self, container: Container) -> Container:
        return await self.containers.get(self.account, container.id)

    async def listed(self, container: Container) -> Container:
        listing = await self.containers.list(self.account, ContainerFilter(), Page(100))
        return next(item for item in listing.items if item.id == container.id)

    async def running(self, container: Container) -> Container:
        live = self.reconciler.live.get(container.id)
        assert live is not None
        assert await asyncio.wait_for(live.usable(), 20)
        return await self.get(container)

    async def ended(self, container: Container) -> Container:
        live = self.reconciler.live.get(container.id)
        if live is not None:
            await asyncio.wait_for(live.ended.wait(), 20)
        return await self.get(container)

    async def kill(self) -> None:
        """End it as SIGKILL would: nothing more is written. The next start takes over."""

        async def nothing() -> None:
            """Leave the meters as they were last read."""

        self.reconciler._tick_for_the_last_time = nothing  # type: ignore[method-assign]
        await self.reconciler.stop()

    async def lose(self, container: Container) -> None:
        """Remove a container's sandbox behind the server's back."""
        await self.reconciler._shop.drivers.all()[0].destroy(container.id)

    async def execute(self, container: Container, *command: str, **fields: Any) -> Any:
        return await self.executions.run(self.account, container.id, ExecutionRequest(command, **fields))


Start = Callable[..., Awaitable[Control]]


@asynccontextmanager
async def starting(folder: Path, driver: Driver | None = None) -> AsyncIterator[Start]:
    """Start a control plane on a folder; starting it again is a restart. All is removed at the end."""
    clock = ManualClock()
    opened: list[Control] = []
    driver = driver or FakeDriver(folder / "sandboxes", agent_binary())

    async def begin(**changes: Any) -> Control:
        if opened:
            await halt(opened[-1])
        settings: Settings = load_settings(data_dir=folder, minimum_isolation="container", **changes)
        store, images = Store(sqlite_url(folder)), HostImages()
        drivers = Drivers([(driver, await driver.probe())], settings.isolation, settings.minimum_isolation)
        await driver.start()
        runner = ExecutionRunner(store, clock)
        workshop = Workshop(store, images, drivers, runner, settings, clock, asyncio.Semaphore(4))
        reconciler = Reconciler(workshop)
        await reconciler.start()
        keys = await store.keys.list()
        account = keys[0].account_id if keys else (await store.keys.create("k", "default", clock.now()))[0].account_id
        containers = Containers(store, reconciler, drivers, settings, clock)
        executions = Executions(store, reconciler, runner, settings, clock)
        opened.append(Control(store, images, reconciler, containers, executions, clock, account))
        return opened[-1]

    async def halt(control: Control) -> None:
        await control.reconciler.stop()
        control.store.close()

    yield begin
    await halt(opened[-1])
    for container_id in await driver.sandboxes():
        await driver.destroy(container_id)


async def until(condition: Callable[[], bool | Awaitable[bool]], seconds: float = 30) -> None:
    """Wait until `condition` holds."""
    for _ in range(int(seconds / 0.01)):
        found = condition()
        if found if isinstance(found, bool) else await found:
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never came to be")
