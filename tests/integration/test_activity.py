"""IDLE by activity: the control layer over the fake driver, whose guest agents count for real."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from tests.controls import Control, Start, until

from cognitora_server.control.activity import ActivityWatch
from cognitora_server.control.live import Live
from cognitora_server.domain.clock import ManualClock
from cognitora_server.domain.containers import Container, ContainerChange, ContainerStatus, Reason
from cognitora_server.domain.errors import GuestError, GuestUnreachable
from cognitora_server.domain.executions import ExecutionFilter, ExecutionStatus
from cognitora_server.domain.pages import Page
from cognitora_server.guest import Counts
from cognitora_server.guest.activity import counts_of
from cognitora_server.settings import load_settings

QUIET = Counts(processes=2, cpu_seconds=1.0, input_bytes=5, output_bytes=7, connections=0)


async def quiet_for(control: Control, seconds: float) -> None:
    """Let `seconds` pass in steps in which every guest is asked."""
    for _ in range(10):
        control.clock.advance(seconds / 10)
        for live in control.reconciler.live:
            await control.reconciler._activity.ask(live)


async def persistent(control: Control, **fields: Any) -> Container:
    return await control.running(await control.create("localhost/silent", persistent=True, **fields))


async def test_nothing_but_the_agent_is_idle_and_a_command_wakes_it(start: Start) -> None:
    control = await start(idle_after_seconds=30)
    container = await persistent(control)
    await quiet_for(control, 25)
    assert (await control.get(container)).status is ContainerStatus.RUNNING
    await quiet_for(control, 40)
    idle = await control.get(container)
    assert (idle.status, idle.active_at) == (ContainerStatus.IDLE, (await control.listed(container)).active_at)
    assert (await control.execute(container, "echo", "hi")).output.combined == "hi\n"
    await control.reconciler.look()
    awake = await control.get(container)
    assert (awake.status, awake.active_at) == (ContainerStatus.RUNNING, control.clock.now())


async def test_a_command_that_only_sleeps_does_not_keep_it_awake(start: Start) -> None:
    control = await start(idle_after_seconds=30)
    container = await persistent(control)
    sleeps = asyncio.create_task(control.execute(container, "sleep", "1000"))
    await quiet_for(control, 20)
    await quiet_for(control, 60)
    assert (await control.get(container)).status is ContainerStatus.IDLE
    assert not sleeps.done()
    await control.containers.cancel(control.account, container.id)
    assert (await sleeps).status is ExecutionStatus.CANCELLED


@pytest.mark.parametrize("script", ["while :; do :; done", "while :; do echo on; sleep 0.01; done"], ids=["cpu", "out"])
async def test_what_works_keeps_it_awake(start: Start, script: str) -> None:
    control = await start(idle_after_seconds=30)
    container = await persistent(control)
    works = asyncio.create_task(control.execute(container, "sh", "-c", script))
    for _ in range(8):
        # Real work is measured, so it gets real time to happen.
        await until(partial(_active_later, control, container, (await control.get(container)).active_at))
        assert (await control.get(container)).status is ContainerStatus.RUNNING
    await control.containers.cancel(control.account, container.id)
    await works


async def _active_later(control: Control, container: Container, before: Any) -> bool:
    live = control.reconciler.live.get(container.id)
    assert live is not None
    control.clock.advance(0.5)
    await control.reconciler._activity.ask(live)
    return bool(live.active_at > before)


async def test_the_idle_timeout_ends_it_and_says_why(start: Start) -> None:
    control = await start(idle_after_seconds=300)
    container = await persistent(control, idle_timeout_seconds=20)
    one_shot = await control.running(await control.create(command=("sleep", "1000"), idle_timeout_seconds=30))
    await control.containers.update(control.account, container.id, ContainerChange(idle_timeout_seconds=60))
    await quiet_for(control, 50)
    ended = await control.ended(one_shot)
    assert (ended.status, ended.end and ended.end.reason) == (ContainerStatus.TIMEOUT, Reason.IDLE)
    assert "idleTimeoutSeconds" in str(ended.end and ended.end.message)
    assert (await control.get(container)).status is ContainerStatus.RUNNING
    await quiet_for(control, 50)
    assert (await control.ended(container)).status is ContainerStatus.TIMEOUT


async def test_the_idle_time_counts_on_after_a_restart(start: Start) -> None:
    control = await start(idle_after_seconds=300)
    container = await persistent(control)
    await quiet_for(control, 200)
    since = (await control.get(container)).active_at
    control = await start(idle_after_seconds=300)
    assert (await control.running(container)).active_at == since
    control.clock.advance(200)
    live = control.reconciler.live.get(container.id)
    assert live is not None
    await control.reconciler._activity.ask(live)
    assert (await control.get(container)).status is ContainerStatus.IDLE


@pytest.mark.parametrize("seconds", [86_400, -86_400])
async def test_a_clock_that_is_set_makes_nothing_idle(start: Start, seconds: float) -> None:
    control = await start(idle_after_seconds=300)
    container = await persistent(control, idle_timeout_seconds=300)
    await quiet_for(control, 100)
    control.clock.jump(seconds)
    await quiet_for(control, 100)
    assert (await control.get(container)).status is ContainerStatus.RUNNING
    await quiet_for(control, 400)
    assert (await control.ended(container)).status is ContainerStatus.TIMEOUT


async def test_what_went_on_while_the_server_was_down_counts(start: Start) -> None:
    control = await start(idle_after_seconds=300)
    container = await persistent(control)
    await quiet_for(control, 20)
    late = asyncio.create_task(control.execute(container, "sh", "-c", "sleep 1; echo late; sleep 1000"))
    await asyncio.sleep(0.3)
    control = await start(idle_after_seconds=300)
    with pytest.raises(asyncio.CancelledError):
        await late
    await control.running(container)
    listing = await control.executions.list(control.account, ExecutionFilter(container.id), Page())
    await until(partial(_has_printed, control, listing.items[0].id))
    control.clock.advance(1000)
    live = control.reconciler.live.get(container.id)
    assert live is not None
    before = live.active_at
    await control.reconciler._activity.ask(live)
    assert live.active_at > before
    assert (await control.get(container)).status is ContainerStatus.RUNNING


async def _has_printed(control: Control, execution_id: str) -> bool:
    return (await control.executions.get(control.account, execution_id)).output.combined == "late\n"


class ScriptedGuest:
    """A guest that says what the test wants."""

    def __init__(self) -> None:
        self.says: Counts | Exception = QUIET

    async def activity(self, timeout_seconds: float) -> Counts:
        if isinstance(self.says, Exception):
            raise self.says
        return self.says


@pytest.mark.parametrize(
    ("after", "active"),
    [
        (QUIET, False),
        (Counts(2, 1.0, 6, 7, 0), True),
        (Counts(2, 1.0, 5, 8, 0), True),
        (Counts(2, 1.0, 5, 7, 1), True),
        (Counts(0, 1.0, 5, 7, 1), False),
        (Counts(2, 1.06, 5, 7, 0), False),
        (Counts(2, 1.08, 5, 7, 0), True),
        (Counts(2, 0.5, 5, 7, 0), True),
        (GuestUnreachable(), False),
    ],
)
async def test_what_counts_as_activity(start: Start, after: Counts | Exception, active: bool) -> None:
    control = await start()
    container = await persistent(control)
    clock, guest = ManualClock(control.clock.now()), ScriptedGuest()
    live = Live(await control.get(container), control.store)
    live.guest = guest  # type: ignore[assignment]
    watch = ActivityWatch(load_settings(idle_after_seconds=1000), clock)

    await watch.ask(live)
    first = live.active_at
    guest.says = after
    clock.advance(10)
    assert watch.due(live)
    assert not watch.due(live)
    await watch.ask(live)
    assert not watch.due(live)
    assert live.active_at == (first + timedelta(seconds=10) if active else first)


async def test_a_silent_guest_is_not_called_idle(start: Start) -> None:
    control = await start(idle_after_seconds=30)
    container = await persistent(control, idle_timeout_seconds=30)
    live = control.reconciler.live.get(container.id)
    assert live is not None
    assert live.guest is not None
    silent = ScriptedGuest()
    silent.says = GuestUnreachable()
    real, live.guest = live.guest, silent  # type: ignore[assignment]
    await quiet_for(control, 100)
    assert (await control.get(container)).status is ContainerStatus.RUNNING
    live.guest = real


@pytest.mark.parametrize(
    "change",
    [
        lambda value: value.update(cpu_ms=-1),
        lambda value: value.update(cpu_ms=1e300),
        lambda value: value.update(processes=True),
        lambda value: value.update(output_bytes=1 << 60),
        lambda value: value.update(input_bytes="5"),
        lambda value: value.pop("connections"),
    ],
)
def test_counts_that_make_no_sense_are_refused(change: Callable[[dict[str, Any]], Any]) -> None:
    value: dict[str, Any] = dict.fromkeys(("processes", "cpu_ms", "input_bytes", "output_bytes", "connections"), 1)
    assert counts_of(value) == Counts(1, 0.001, 1, 1, 1)
    change(value)
    with pytest.raises(GuestError):
        counts_of(value)
    with pytest.raises(GuestError):
        counts_of(None)
