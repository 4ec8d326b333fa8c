"""The control layer over the shipped fake driver, with a clock that the test moves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cognitora_server.control import reconciler
from cognitora_server.control.containers import Containers
from cognitora_server.control.executions import Executions
from cognitora_server.control.health import Health
from cognitora_server.control.isolation import Drivers
from cognitora_server.control.lifecycle import Workshop
from cognitora_server.control.processes import ExecutionRunner
from cognitora_server.control.reconciler import Reconciler
from cognitora_server.control.uploads import FileRejected
from cognitora_server.domain.clock import ManualClock
from cognitora_server.domain.containers import (
    Container,
    ContainerChange,
    ContainerRequest,
    ContainerStatus,
    Reason,
    Resources,
)
from cognitora_server.domain.errors import (
    Conflict,
    InvalidRequest,
    IsolationUnavailable,
    NetworkingUnavailable,
    NotFound,
    ResourcesUnavailable,
)
from cognitora_server.domain.executions import ExecutionFilter, ExecutionRequest, ExecutionStatus, FileUpload
from cognitora_server.domain.images import Image, ImageConfig, ImageNotFound, ImageReference
from cognitora_server.domain.pages import Page
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

    async def execute(self, container: Container, *command: str, **fields: Any) -> Any:
        return await self.executions.run(self.account, container.id, ExecutionRequest(command, **fields))


Start = Callable[..., Awaitable[Control]]


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    """Start a control plane on the test's folder; starting it again is a restart. All is removed at the end."""
    clock = ManualClock()
    opened: list[Control] = []
    driver = FakeDriver(tmp_path / "sandboxes", agent_binary())

    async def begin(**changes: Any) -> Control:
        if opened:
            await halt(opened[-1])
        settings: Settings = load_settings(data_dir=tmp_path, minimum_isolation="container", **changes)
        store, images = Store(sqlite_url(tmp_path)), HostImages()
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


async def test_a_one_shot_runs_the_images_command_or_its_own(start: Start) -> None:
    control = await start()
    container = await control.ended(await control.create())
    assert (container.status, container.end and container.end.exit_code) == (ContainerStatus.COMPLETED, 0)
    assert await control.containers.logs(control.account, container.id) == "from the image\n"
    own = await control.ended(
        await control.create(command=("sh", "-c", "echo $FROM_IMAGE$OWN"), environment={"OWN": "2"})
    )
    assert await control.containers.logs(control.account, own.id) == "12\n"


async def test_a_pull_is_shown_while_it_lasts(start: Start) -> None:
    control = await start()
    control.images.hold = asyncio.Event()
    container = await control.create("localhost/silent", persistent=True)
    for _ in range(500):
        if (await control.get(container)).status is ContainerStatus.STARTING:
            break
        await asyncio.sleep(0.01)
    assert (await control.get(container)).progress == "downloading, 1 of 3 layers"
    control.images.hold.set()
    assert (await control.running(container)).progress is None


async def test_what_cannot_run_says_why(start: Start) -> None:
    control = await start()
    silent = await control.ended(await control.create("localhost/silent"))
    assert silent.end is not None
    assert (silent.end.reason, "no command" in str(silent.end.message)) == (Reason.IMAGE, True)
    missing = await control.ended(await control.create("localhost/missing"))
    assert missing.end is not None
    assert (missing.status, missing.end.reason) == (ContainerStatus.FAILED, Reason.IMAGE)
    nothing = await control.ended(await control.create(command=("no-such-program",)))
    assert nothing.end is not None
    assert (nothing.end.reason, nothing.end.exit_code) == (Reason.EXIT, 127)
    assert "no-such-program" in str(nothing.end.message)


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"resources": Resources(10_000, 128)}, ResourcesUnavailable),
        ({"resources": Resources(1, 1 << 30)}, ResourcesUnavailable),
        ({"resources": Resources(1, 128, 100_000)}, ResourcesUnavailable),
        ({"resources": Resources(1, 128, 1, 1)}, ResourcesUnavailable),
        ({"networking": True}, NetworkingUnavailable),
        ({"isolation": "gvisor"}, IsolationUnavailable),
        ({"timeout_seconds": 1 << 40}, InvalidRequest),
        ({"expires_at": datetime(2025, 1, 1, tzinfo=UTC)}, InvalidRequest),
        ({"image": "Not An Image"}, Exception),
    ],
)
async def test_what_can_never_be_is_refused_at_once(
    start: Start, fields: dict[str, Any], error: type[Exception]
) -> None:
    control = await start()
    with pytest.raises(error):
        await control.create(**fields)
    assert (await control.store.containers.unfinished()) == ()


async def test_deadlines(start: Start) -> None:
    control = await start()
    container = await control.create("localhost/silent", persistent=True, timeout_seconds=60)
    fixed = await control.create(
        "localhost/silent", persistent=True, timeout_seconds=5, expires_at=control.clock.now() + timedelta(seconds=100)
    )
    container, fixed = await control.running(container), await control.running(fixed)
    assert (container.timeout_seconds, fixed.timeout_seconds) == (60, 100)
    control.clock.advance(59)
    await control.reconciler.look()
    assert (await control.get(container)).status is ContainerStatus.RUNNING
    await control.containers.update(control.account, fixed.id, ContainerChange(500))
    control.clock.advance(2)
    await control.reconciler.look()
    ended = await control.ended(container)
    assert (ended.status, ended.end and ended.end.reason) == (ContainerStatus.TIMEOUT, Reason.TIMEOUT)
    control.clock.advance(100)
    await control.reconciler.look()
    assert (await control.get(fixed)).status is ContainerStatus.RUNNING
    with pytest.raises(Conflict):
        await control.containers.update(control.account, container.id, ContainerChange(500))


async def test_a_container_ends_before_it_costs_more_than_allowed(start: Start) -> None:
    control = await start()
    container = await control.running(
        await control.create("localhost/silent", persistent=True, max_cost_credits=HOUR_CREDITS)
    )
    control.clock.advance(1800)
    assert control.containers.cost(container) == pytest.approx(HOUR_CREDITS / 2)
    control.clock.advance(1798)
    await control.reconciler.look()
    assert (await control.get(container)).status is not ContainerStatus.TERMINATED
    control.clock.advance(1)
    await control.reconciler.look()
    ended = await control.ended(container)
    assert (ended.status, ended.end and ended.end.reason) == (ContainerStatus.TERMINATED, Reason.BUDGET)
    assert control.containers.cost(ended) <= HOUR_CREDITS


async def test_idle_and_back(start: Start) -> None:
    control = await start(idle_after_seconds=30)
    container = await control.running(await control.create("localhost/silent", persistent=True))
    control.clock.advance(31)
    await control.reconciler.look()
    assert (await control.get(container)).status is ContainerStatus.IDLE
    assert (await control.execute(container, "echo", "hi")).output.combined == "hi\n"
    await control.reconciler.look()
    assert (await control.get(container)).status is ContainerStatus.RUNNING


async def test_executions(start: Start) -> None:
    control = await start()
    container = await control.create("localhost/silent", persistent=True)
    folder = str(Path("/tmp") / container.id)
    files = (FileUpload("a/b.txt", b"content"), FileUpload("large", b"x" * (5 << 20)))
    done = await control.execute(
        container, "sh", "-c", "cat a/b.txt; wc -c < large; echo err >&2", files=files, working_directory=folder
    )
    assert (done.status, done.exit_code, done.output.stdout) == (ExecutionStatus.COMPLETED, 0, "content5242880\n")
    assert (done.output.stderr, done.files_uploaded) == ("err\n", 2)
    late = await control.execute(container, "sh", "-c", "echo early; sleep 60", timeout_seconds=0.2)
    assert (late.status, late.exit_code, late.output.combined) == (ExecutionStatus.TIMEOUT, 124, "early\n")
    absent = await control.execute(container, "absent")
    assert (absent.status, absent.exit_code) == (ExecutionStatus.FAILED, 127)
    with pytest.raises(FileRejected, match="could not be written"):
        await control.execute(container, "true", files=(FileUpload("a", b""),), working_directory=folder)
    listing = await control.executions.list(control.account, ExecutionFilter(container.id), Page())
    assert listing.total == 4
    with pytest.raises(NotFound):
        await control.executions.list("acc_other", ExecutionFilter(container.id), Page())
    await control.execute(container, "rm", "-r", folder)


async def test_an_execution_ends_with_its_container(start: Start) -> None:
    control = await start()
    container = await control.running(await control.create("localhost/silent", persistent=True))
    running = asyncio.create_task(control.execute(container, "sh", "-c", "echo early; sleep 60"))
    while not (await control.executions.list(control.account, ExecutionFilter(container.id), Page())).total:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.3)
    cancelled = await control.containers.cancel(control.account, container.id)
    assert (cancelled.status, cancelled.end and cancelled.end.reason) == (ContainerStatus.CANCELLED, Reason.USER)
    execution = await running
    assert (execution.status, execution.output.combined) == (ExecutionStatus.CANCELLED, "early\n")
    with pytest.raises(Conflict):
        await control.execute(container, "true")
    assert (await control.containers.cancel(control.account, container.id)).status is ContainerStatus.CANCELLED


async def test_a_restart_finds_everything_again(start: Start) -> None:
    control = await start()
    persistent = await control.running(await control.create("localhost/silent", persistent=True))
    one_shot = await control.create(command=("sh", "-c", "sleep 1; echo done"))
    await control.running(one_shot)
    lost = asyncio.create_task(control.execute(persistent, "sh", "-c", "sleep 1; echo late"))
    await asyncio.sleep(0.3)
    control = await start()
    with pytest.raises(asyncio.CancelledError):
        await lost
    assert (await control.ended(one_shot)).status is ContainerStatus.COMPLETED
    assert await control.containers.logs(control.account, one_shot.id) == "done\n"
    assert (await control.execute(persistent, "echo", "well")).output.combined == "well\n"
    for _ in range(100):
        listing = await control.executions.list(control.account, ExecutionFilter(persistent.id), Page())
        if all(execution.status.final for execution in listing.items):
            break
        await asyncio.sleep(0.05)
    assert "late\n" in [execution.output.combined for execution in listing.items]


async def test_what_no_container_owns_is_removed(start: Start) -> None:
    control = await start()
    container = await control.running(await control.create("localhost/silent", persistent=True))
    await control.store.containers.change(container.id, status=ContainerStatus.TERMINATED)
    control = await start()
    assert len(control.reconciler.live) == 0
    assert await control.reconciler._shop.drivers.all()[0].sandboxes() == set()


async def test_a_look_that_keeps_failing_is_told(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    control = await start()
    health = Health(control.store, control.reconciler._shop.drivers, control.reconciler)
    assert await health.ready() == []
    monkeypatch.setattr(reconciler, "_LATE_LOOK_SECONDS", 2.0)
    with monkeypatch.context() as broken:
        broken.setattr(reconciler, "_free_bytes", _no_disk)
        assert await _until(health, bool)
    assert await _until(health, lambda problems: not problems)


def _no_disk(folder: Path) -> int:
    raise OSError("the disk is gone")


async def _until(health: Health, holds: Callable[[list[str]], bool]) -> bool:
    for _ in range(200):
        if holds(await health.ready()):
            return True
        await asyncio.sleep(0.1)
    return False
