"""A control plane over the fake driver that can be crashed, and what must always be true of it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Awaitable, Coroutine
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

from cognitora_server.control.live import Live
from cognitora_server.domain.clock import ManualClock
from cognitora_server.domain.containers import Container, ContainerFilter, ContainerStatus
from cognitora_server.domain.errors import CognitoraError, Conflict, NotFound
from cognitora_server.domain.executions import Execution, ExecutionFilter, ExecutionRequest
from cognitora_server.domain.pages import Page
from cognitora_server.host.processes import descendants
from tests.controls import Control, Start, starting, until

STRANGER = "acc_00000000000000000000"
ALL = Page(100)

#: More containers than the host has room for wait.
PLACES = 3

_ORDER = {ContainerStatus.QUEUED: 0, ContainerStatus.STARTING: 1, ContainerStatus.RUNNING: 2, ContainerStatus.IDLE: 2}
_LAST = 3
_HELD = (ContainerStatus.STARTING, ContainerStatus.RUNNING, ContainerStatus.IDLE)


class World:
    """Containers of one account, as they were last seen."""

    def __init__(self, folder: Path) -> None:
        self.sandboxes = folder / "sandboxes"
        self.seen: dict[str, Container] = {}
        self.executions: dict[str, Execution] = {}
        self._stack = AsyncExitStack()
        self._begin: Start
        self.control: Control
        self._folder = folder

    async def open(self) -> None:
        """Start the first server."""
        self._begin = await self._stack.enter_async_context(starting(self._folder))
        self.control = await self._begin(max_containers=PLACES)

    async def close(self) -> None:
        """End every container, and see that nothing is left of any."""
        for container_id in self.living():
            await self.control.containers.cancel(self.control.account, container_id)
        await self.settle()
        await self.look_at_all()
        assert not self.living()
        await self._stack.aclose()

    @property
    def clock(self) -> ManualClock:
        """The clock that all servers have."""
        return self.control.clock

    def living(self) -> list[str]:
        """Return the containers that had not ended when they were last seen."""
        return [container_id for container_id, container in self.seen.items() if not container.status.final]

    # What happens

    async def create(self, image: str, **fields: Any) -> str | None:
        """Create a container; None if it was refused."""
        try:
            container = await self.control.create(image, **fields)
        except CognitoraError as error:
            assert error.message
            return None
        self.seen[container.id] = container
        return container.id

    async def execute(self, container_id: str, *command: str, **fields: Any) -> None:
        """Run a command to its end, whatever that is. One that waits for room could do so for ever."""
        if self.control.reconciler.queue.position(container_id) is not None:
            return
        wanted = ExecutionRequest(command, **fields)
        with suppress(Conflict):
            done = await self.control.executions.run(self.control.account, container_id, wanted)
            assert done.status.final
            self.executions[done.id] = done

    async def begin_execution(self, container_id: str) -> None:
        """Start a command that nobody waits for and that ends with its container only."""
        account = self.control.account
        before = await self.executions_of(container_id)
        request = ExecutionRequest(("sleep", "600"))
        task = asyncio.ensure_future(self.control.executions.run(account, container_id, request))
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        while not task.done() and len(await self.executions_of(container_id)) == len(before):
            await asyncio.sleep(0.01)

    async def pass_time(self, seconds: float) -> None:
        """Let time pass, and the server see to what is due."""
        self.clock.advance(seconds)
        await self.control.reconciler.look()
        await self.settle_ends()

    async def restart(self) -> None:
        """Stop the server as an operator would, and start it again."""
        self.control = await self._begin(max_containers=PLACES)

    async def crash(self) -> None:
        """Kill the server where it stands: nothing more is written, nothing waited for. Start it again."""
        self.control.store.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.control = await self._begin(max_containers=PLACES)

    async def reboot(self) -> None:
        """Let the host fail: the server and all sandboxes are gone at once, and the steady clock begins anew."""
        for container_id in self.living():
            self.kill_sandbox(container_id)
        self.clock.reboot()
        await self.crash()

    def kill_sandbox(self, container_id: str) -> None:
        """Kill a container's guest agent with all it has started, if it has a sandbox."""
        with suppress(OSError):
            pid = int(json.loads((self.sandboxes / container_id / "handle.json").read_text())["pid"])
            for process in [*descendants(pid), pid]:
                os.kill(process, signal.SIGKILL)

    # Waiting

    async def settle(self) -> None:
        """Wait until every container is ready, has ended, or waits for room that there is not."""
        waiting = self.control.reconciler.queue.position
        while lives := [
            live for live in self.control.reconciler.live if not _settled(live) and not waiting(live.container.id)
        ]:
            await within(lives[0].usable())
            await self.settle_ends()
        lives = list(self.control.reconciler.live)
        held = [live for live in lives if not waiting(live.container.id)]
        assert len(held) == min(PLACES, len(lives)), "room is left, and somebody waits"

    async def settle_ends(self) -> None:
        """Wait until every container that shall end, or whose command is over, has."""
        await until(lambda: not any(live.end_wanted.is_set() or live.end for live in self.control.reconciler.live))

    async def executions_of(self, container_id: str) -> tuple[Execution, ...]:
        """Return a container's executions."""
        listing = await self.control.executions.list(self.control.account, ExecutionFilter(container_id), ALL)
        assert listing.total == len(listing.items)
        return listing.items

    # What must be true

    async def look_at_all(self) -> None:
        """Look at every container, compare it with what was seen before, and remember it."""
        for container_id, before in self.seen.items():
            now = await self.control.containers.get(self.control.account, container_id)
            check_container(now)
            check_step(before, now)
            self.seen[container_id] = now
            for execution in await self.executions_of(container_id):
                self._check_execution(execution, now)

    def _check_execution(self, execution: Execution, container: Container) -> None:
        assert (execution.completed_at is not None) == execution.status.final
        assert execution.status.final or not container.status.final, "it outlives its container"
        before = self.executions.get(execution.id)
        if before is not None:
            assert (before.status, before.exit_code, before.completed_at) == (
                execution.status,
                execution.exit_code,
                execution.completed_at,
            )
        if execution.status.final:
            self.executions[execution.id] = execution

    async def check_lists(self) -> None:
        """Every container is in the list of its state, once."""
        listing = await self.control.containers.list(self.control.account, ContainerFilter(), ALL)
        assert {item.id for item in listing.items} == set(self.seen)
        assert sum(item.status in _HELD for item in listing.items) <= PLACES
        assert listing.total == len(self.seen)
        final = [item.id for item in listing.items if item.status.final]
        counted = 0
        for status in ContainerStatus:
            part = await self.control.containers.list(self.control.account, ContainerFilter(status), Page(1))
            assert all(item.status is status for item in part.items)
            counted += part.total if status.final else 0
        assert counted >= len(final)

    async def check_leftovers(self) -> None:
        """The host holds nothing of a container that the server is done with."""
        done = {container_id for container_id in self.seen if self.control.reconciler.live.get(container_id) is None}
        on_host = {entry.name for entry in self.sandboxes.iterdir()} if self.sandboxes.exists() else set()
        assert not on_host & done

    async def check_stranger(self, container_id: str) -> None:
        """Another account sees and can do nothing."""
        containers, executions = self.control.containers, self.control.executions
        for attempt in (
            containers.get(STRANGER, container_id),
            containers.cancel(STRANGER, container_id),
            containers.logs(STRANGER, container_id),
            executions.run(STRANGER, container_id, ExecutionRequest(("true",))),
            executions.list(STRANGER, ExecutionFilter(container_id), ALL),
        ):
            await is_not_found(attempt)
        for execution in await self.executions_of(container_id):
            await is_not_found(executions.get(STRANGER, execution.id))
        assert (await containers.list(STRANGER, ContainerFilter(), ALL)).total == 0
        assert (await executions.list(STRANGER, ExecutionFilter(), ALL)).total == 0


def _settled(live: Live) -> bool:
    return live.ready.is_set() or live.ended.is_set()


async def is_not_found(attempt: Coroutine[Any, Any, object]) -> None:
    """See that what was tried ends with NotFound."""
    try:
        await attempt
    except NotFound:
        return
    raise AssertionError("a stranger came in")


async def within(work: Awaitable[object], seconds: float = 30) -> None:
    """Wait for something, not for ever."""
    async with asyncio.timeout(seconds):
        await work


def check_container(container: Container) -> None:
    """What holds of every container at every moment."""
    final = container.status.final
    assert (container.completed_at is not None) == final
    assert (container.end is not None) == final
    assert 0 <= container.cost <= container.max_cost_credits
    if container.end is not None:
        assert container.wanted_end is not None
        assert container.end.status is container.status is container.wanted_end.status
        assert container.end.reason
        assert container.end.message or container.status is ContainerStatus.COMPLETED
    if container.started_at is None:
        assert container.cost == 0
    if container.status in (ContainerStatus.RUNNING, ContainerStatus.IDLE):
        assert container.started_at is not None
        assert container.isolation is not None


def check_step(before: Container, now: Container) -> None:
    """What holds between two looks at a container."""
    assert _ORDER.get(before.status, _LAST) <= _ORDER.get(now.status, _LAST)
    assert now.cost >= before.cost
    assert before.started_at in (None, now.started_at)
    assert before.wanted_end in (None, now.wanted_end)
    if before.status.final:
        assert now == before
