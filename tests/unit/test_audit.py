"""The audit log below the API: written soon, never much of what anybody can cause, read by filters, pruned."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from cognitora_server.control.audit import AuditLog
from cognitora_server.domain.audit import Actor, AuditEntry, AuditFilter
from cognitora_server.domain.clock import ManualClock
from cognitora_server.domain.ids import AUDIT, new_id
from cognitora_server.domain.pages import Page
from cognitora_server.store import Store
from cognitora_server.store.database import sqlite_url


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(sqlite_url(tmp_path)) as opened:
        yield opened


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def log(store: Store, clock: ManualClock) -> AsyncIterator[AuditLog]:
    made = AuditLog(store, clock)
    made.start()
    yield made
    await made.stop()


def an_entry(clock: ManualClock, **fields: Any) -> AuditEntry:
    values: dict[str, Any] = {"account_id": "acc_1", "status": 200, "details": {"program": "ls"}} | fields
    return AuditEntry(new_id(AUDIT), clock.now(), Actor.KEY, values.pop("action", "container.exec"), **values)


async def all_entries(store: Store, **wanted: Any) -> tuple[AuditEntry, ...]:
    return (await store.audit.list(AuditFilter(**wanted), Page(100))).items


async def until(store: Store, count: int, **wanted: Any) -> tuple[AuditEntry, ...]:
    async with asyncio.timeout(60):
        while len(found := await all_entries(store, **wanted)) < count:
            await asyncio.sleep(0.01)
    return found


async def test_entries_are_written_soon_as_they_are(store: Store, clock: ManualClock, log: AuditLog) -> None:
    entry = an_entry(clock, key_id="key_1", key_name="laptop", request_id="req_1", remote_address="::1")
    log.finish(entry)
    assert await until(store, 1) == (entry,)


async def test_who_reads_sees_what_was_done_before(clock: ManualClock, log: AuditLog) -> None:
    log.finish(entry := an_entry(clock))
    assert (await log.list(AuditFilter(), Page())).items == (entry,)


async def test_what_takes_long_is_written_before_it_is_done(store: Store, clock: ManualClock, log: AuditLog) -> None:
    begun = an_entry(clock, status=None)
    log.begin(begun)
    clock.advance(2)
    assert await until(store, 1) == (begun,)
    log.finish(done := replace(begun, status=200))
    assert (await log.list(AuditFilter(), Page())).items == (done,)


async def test_what_is_at_work_when_the_server_stops_is_written(store: Store, clock: ManualClock) -> None:
    log = AuditLog(store, clock)
    log.start()
    log.begin(begun := an_entry(clock, status=None))
    await log.stop()
    assert await all_entries(store) == (begun,)


async def test_refusals_are_summed_up(store: Store, clock: ManualClock, log: AuditLog) -> None:
    for number in range(1000):
        log.refused(f"192.0.2.{number % 100}")
    log.refused(None)
    clock.advance(600)
    entries = await until(store, 1)
    assert len(entries) == 21
    assert {(entry.action, entry.actor, entry.account_id) for entry in entries} == {
        ("auth.refused", Actor.UNKNOWN, None)
    }
    counts = {entry.remote_address: entry.details["count"] for entry in entries}
    assert counts["192.0.2.0"] == 10
    assert sum(counts.values()) == 1001
    log.refused("192.0.2.1")
    await log.stop()
    assert len(await all_entries(store)) == 22


async def test_filters_and_pages(store: Store, clock: ManualClock) -> None:
    for number in range(10):
        action = "container.create" if number % 2 else "container.exec"
        account = "acc_1" if number < 8 else "acc_2"
        await store.audit.add([an_entry(clock, action=action, account_id=account, container_id=f"cnt_{number % 3}")])
        clock.advance(60)
    start = ManualClock().now()
    assert len(await all_entries(store)) == 10
    assert len(await all_entries(store, account_id="acc_1")) == 8
    assert len(await all_entries(store, account_id="acc_1", action="container.exec", container_id="cnt_0")) == 2
    times = {"since": start + timedelta(minutes=2), "until": start + timedelta(minutes=5)}
    assert len(await all_entries(store, **times)) == 3
    page = await store.audit.list(AuditFilter(), Page(3, 3))
    assert (len(page.items), page.total) == (3, 10)
    assert [entry.at for entry in page.items] == sorted((entry.at for entry in page.items), reverse=True)
    assert await store.audit.prune(start + timedelta(minutes=6), 4) == 4
    assert await store.audit.prune(start + timedelta(minutes=6), 4) == 2
    assert await store.audit.prune(start + timedelta(minutes=6), 4) == 0
    assert len(await all_entries(store)) == 4


async def test_what_cannot_be_written_now_is_written_later(
    store: Store, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = AuditLog(store, clock)

    async def fails(_: object) -> None:
        raise OSError("disk full")

    with monkeypatch.context() as broken:
        broken.setattr(store.audit, "add", fails)
        log.finish(an_entry(clock))
        await log.flush()
    await log.flush()
    assert len(await all_entries(store)) == 1


async def test_all_of_a_long_outage_is_written(store: Store, clock: ManualClock) -> None:
    log = AuditLog(store, clock)
    for _ in range(20_000):
        log.finish(an_entry(clock))
    await log.flush()
    assert (await store.audit.list(AuditFilter(), Page(1))).total == 20_000
