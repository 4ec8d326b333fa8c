"""The control layer over the shipped fake driver, with a clock that the test moves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.controls import HOUR_CREDITS, Start

from cognitora_server.control import reconciler
from cognitora_server.control.health import Health
from cognitora_server.control.uploads import FileRejected
from cognitora_server.domain.containers import ContainerChange, ContainerStatus, Reason
from cognitora_server.domain.errors import (
    Conflict,
    InvalidRequest,
    IsolationUnavailable,
    NetworkingUnavailable,
    NotFound,
    ResourcesUnavailable,
)
from cognitora_server.domain.executions import ExecutionFilter, ExecutionStatus, FileUpload
from cognitora_server.domain.pages import Page
from cognitora_server.domain.resources import Resources


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
    assert (await control.get(container)).cost == pytest.approx(HOUR_CREDITS / 2)
    control.clock.advance(1798)
    await control.reconciler.look()
    assert (await control.get(container)).status is not ContainerStatus.TERMINATED
    control.clock.advance(1)
    await control.reconciler.look()
    ended = await control.ended(container)
    assert (ended.status, ended.end and ended.end.reason) == (ContainerStatus.TERMINATED, Reason.BUDGET)
    assert ended.cost <= HOUR_CREDITS


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
