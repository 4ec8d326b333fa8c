"""History is kept for its age and size; what goes on is never forgotten."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from tests.controls import Start
from tests.unit.test_store import NOW, a_container, an_account, an_execution

from cognitora_server.control import retention
from cognitora_server.control.retention import Retention
from cognitora_server.domain.audit import Actor, AuditEntry, AuditFilter
from cognitora_server.domain.clock import ManualClock
from cognitora_server.domain.containers import Container, ContainerFilter, ContainerStatus
from cognitora_server.domain.errors import NotFound
from cognitora_server.domain.executions import Execution, ExecutionFilter, ExecutionStatus, Output
from cognitora_server.domain.ids import AUDIT, new_id
from cognitora_server.domain.pages import Page
from cognitora_server.settings import load_settings
from cognitora_server.store import Store
from cognitora_server.store.database import sqlite_url

DAY = timedelta(days=1)
NOISE = "".join(chr(33 + (n * n * 7919 + n // 3) % 9000) for n in range(40_000))


class History:
    """A store with containers and executions that ended when the test says."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.store = store
        self.file = folder / "cognitora.db"
        self.clock = ManualClock(NOW)
        self.account = ""

    async def container(self, ended_days_ago: float | None, executions: int = 3, text: str = "hello\n") -> Container:
        """A container (None: it runs) whose executions ended a day before it, or as long ago as the test says."""
        container = a_container(self.account, status=ContainerStatus.RUNNING)
        await self.store.containers.add(container)
        at = NOW - DAY * (ended_days_ago or 0)
        await asyncio.gather(
            *(self.execution(container, at - DAY, main=number == 0, text=text) for number in range(executions))
        )
        if ended_days_ago is not None:
            await self.store.containers.change(container.id, status=ContainerStatus.COMPLETED, completed_at=at)
        return container

    async def execution(
        self, of: Container, ended_at: object, *, main: bool = False, text: str = "hello\n"
    ) -> Execution:
        execution = an_execution(of, main=main)
        await self.store.executions.add(execution)
        output = Output(text, text[: len(text) // 2], text[len(text) // 2 :])
        await self.store.executions.change(
            execution.id, status=ExecutionStatus.COMPLETED, completed_at=ended_at, output=output
        )
        return execution

    async def left(self) -> dict[str, int]:
        """The ids of containers that are remembered, and how many executions of each."""
        found: dict[str, int] = {}
        containers = await self.store.containers.list(self.account, ContainerFilter(), Page(100))
        for container in containers.items:
            theirs = await self.store.executions.list(self.account, ExecutionFilter(container.id), Page(1))
            found[container.id] = theirs.total
        return found

    async def prune(self, **settings: object) -> None:
        given = load_settings().model_copy(update=settings)
        await Retention(self.store, given, self.clock).prune()


@pytest.fixture
async def history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[History]:
    monkeypatch.setattr(retention, "_PAUSE_SECONDS", 0)
    with Store(sqlite_url(tmp_path)) as store:
        made = History(store, tmp_path)
        made.account = await an_account(store)
        yield made


async def test_what_ended_long_ago_is_forgotten_whole(history: History) -> None:
    old, young, runs = [await history.container(days) for days in (31, 29, None)]
    await history.prune()
    assert await history.left() == {young.id: 3, runs.id: 3}
    assert await history.store.executions.main_of(old.id) is None


async def test_old_executions_of_what_still_runs_are_forgotten_but_its_own_command(history: History) -> None:
    runs = await history.container(None, executions=0)
    main = await history.execution(runs, NOW - 50 * DAY, main=True)
    old = await history.execution(runs, NOW - 40 * DAY)
    young = await history.execution(runs, NOW - DAY)
    at_work = an_execution(runs)
    await history.store.executions.add(at_work)
    await history.prune()
    for kept in (main, young, at_work):
        assert await history.store.executions.get(kept.id, history.account) is not None
    assert await history.store.executions.get(old.id, history.account) is None


async def test_too_much_is_forgotten_oldest_first(history: History) -> None:
    containers = [await history.container(days, text=NOISE) for days in (5, 9, 7, None)]
    size = await history.store.history.size()
    await history.prune(history_max_bytes=size - 1)
    assert set(await history.left()) == {containers[n].id for n in (3, 2, 0)}
    assert await history.store.history.size() < size
    await history.prune(history_max_bytes=1)
    assert await history.left() == {containers[3].id: 1}  # what runs stays, with its own command


async def test_a_container_with_very_many_executions_goes_in_pieces(history: History) -> None:
    container = await history.container(40, executions=450)
    first = await history.store.history.forget_oldest(NOW - 30 * DAY)
    assert (first.containers, first.executions) == (0, 200)
    await history.prune()
    assert await history.left() == {}
    assert not await history.store.history.forget_oldest()
    assert await history.store.history.size() == 0
    assert await history.store.containers.get(container.id) is None


async def test_the_size_is_about_what_the_file_takes_and_is_given_back(history: History) -> None:
    empty = history.file.stat().st_size
    await asyncio.gather(*(history.container(40, executions=40, text=NOISE) for _ in range(15)))
    await history.store.database.empty_log()
    full, size = history.file.stat().st_size, await history.store.history.size()
    assert 0.8 < size / (full - empty) < 1.25
    await history.prune()
    await history.store.database.empty_log()
    # Some free pages stay in the file for what comes next.
    assert history.file.stat().st_size < full / 2


async def test_secrets_leave_the_database_with_the_end_of_their_containers(history: History) -> None:
    def traces() -> list[str]:
        folder = history.file.parent
        return [file.name for file in folder.glob("cognitora.db*") if b"marker-of-a-secret" in file.read_bytes()]

    choice = random.Random(1)
    containers = []
    for number in range(150):
        value = f"marker-of-a-secret-{number}-" + "x" * choice.choice([1, 100, 3_000, 60_000])
        containers.append(a_container(history.account, environment={"A": "***"}, secrets={"A": value}))
    await asyncio.gather(*map(history.store.containers.add, containers))
    assert traces()
    for _ in range(600):  # rows move between pages as they and their neighbours change
        container = choice.choice(containers)
        metadata = {"note": "y" * choice.randrange(4_000)}
        await history.store.containers.change(container.id, status=ContainerStatus.RUNNING, metadata=metadata)
        if choice.random() < 0.2:
            ended = await history.store.containers.change(container.id, status=ContainerStatus.FAILED, completed_at=NOW)
            assert ended is None or ended.secrets == {}
    for container in containers:
        await history.store.containers.change(container.id, status=ContainerStatus.COMPLETED, completed_at=NOW)
    await history.prune()
    assert not traces()
    assert all(found.environment == {"A": "***"} for found in await _all(history))


async def _all(history: History) -> list[Container]:
    listing = await history.store.containers.list(history.account, ContainerFilter(), Page(100))
    return list(listing.items)


async def test_the_audit_log_is_pruned_too(history: History) -> None:
    entries = [AuditEntry(new_id(AUDIT), NOW - DAY * days, Actor.CLI, "container.end") for days in (364, 366)]
    await history.store.audit.add(entries)
    await history.prune()
    left = await history.store.audit.list(AuditFilter(action="container.end"), Page())
    assert [entry.id for entry in left.items] == [entries[0].id]


async def test_what_is_forgotten_answers_how_long_history_is_kept(start: Start) -> None:
    control = await start(history_days=2)
    container = await control.ended(await control.create())
    listing = await control.executions.list(control.account, ExecutionFilter(container.id), Page())
    control.clock.advance(3 * 86_400)
    await control.reconciler._retention.prune()
    for gone in (
        control.get(container),
        control.executions.get(control.account, listing.items[0].id),
        control.containers.logs(control.account, container.id),
        control.execute(container, "true"),
    ):
        with pytest.raises(NotFound, match="at most 2 days"):
            await gone
