"""Meters, bills, budgets and limits of accounts, over the fake driver and a clock that the test moves."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from tests.controls import Control, Start, until

from cognitora_server.control import reconciler
from cognitora_server.control.usage import UsageReports
from cognitora_server.domain.containers import Container, ContainerChange, ContainerStatus, Reason, Usage
from cognitora_server.domain.errors import AccountLimitReached, BudgetExhausted, CognitoraError, ResourcesUnavailable
from cognitora_server.domain.pages import Page
from cognitora_server.domain.resources import Resources
from cognitora_server.domain.usage import UsageFilter, UsageGroup
from cognitora_server.drivers.fake import FakeSandbox

#: 2 + 0.125 / 2 + 0.01 credits an hour.
SMALL = Resources(cpu_cores=1, memory_mb=128, storage_gb=1)
HOUR_CREDITS = 2.0725


async def a_running(control: Control, **fields: object) -> Container:
    fields.setdefault("timeout_seconds", 86_400)
    return await control.running(await control.create("localhost/silent", persistent=True, **fields))


async def seconds_of(control: Control, container: Container) -> int:
    """Return the seconds of the record, and see that the ledger says the same once it has ended."""
    found = await control.get(container)
    if found.status.final:
        wanted = UsageFilter(date(1970, 1, 1), date(9999, 1, 1))
        _, whole = await control.store.usage.sums(control.account, wanted, Page(1))
        assert whole.seconds == found.meter.seconds
        assert whole.micro == round(found.cost * 1_000_000)
    return found.meter.seconds


async def test_a_clock_that_is_set_changes_no_bill_and_no_deadline(start: Start) -> None:
    control = await start()
    container = await a_running(control, timeout_seconds=600)
    end = container.expires_at
    control.clock.advance(100.5)
    control.clock.jump(86_400)
    await control.reconciler.look()
    found = await control.get(container)
    assert (found.status.final, found.meter.seconds) == (False, 101)
    assert found.expires_at == end + timedelta(days=1)
    assert found.cost == (await control.listed(container)).cost == round(HOUR_CREDITS * 101 / 3600, 6)
    control.clock.jump(-3 * 86_400)
    control.clock.advance(499)
    await control.reconciler.look()
    assert (await control.get(container)).status.final is False
    control.clock.advance(0.5)
    await control.reconciler.look()
    assert (await control.ended(container)).status is ContainerStatus.TIMEOUT
    assert await seconds_of(control, container) == 600


async def test_an_instant_that_the_user_named_is_a_time_of_day(start: Start) -> None:
    control = await start()
    container = await a_running(control, timeout_seconds=None, expires_at=control.clock.now() + timedelta(hours=1))
    control.clock.jump(3601)
    await control.reconciler.look()
    assert (await control.ended(container)).status is ContainerStatus.TIMEOUT


async def test_a_changed_deadline_counts_from_the_change_or_from_the_start(start: Start) -> None:
    control = await start()
    control.images.hold = asyncio.Event()
    container = await control.create("localhost/silent", persistent=True, timeout_seconds=10)
    await control.containers.update(control.account, container.id, ContainerChange(timeout_seconds=50))
    control.clock.advance(1000)
    control.images.hold.set()
    container = await control.running(container)
    assert container.expires_at == control.clock.now() + timedelta(seconds=50)
    control.clock.advance(30)
    changed = await control.containers.update(control.account, container.id, ContainerChange(timeout_seconds=50))
    assert changed.expires_at == control.clock.now() + timedelta(seconds=50)
    control.clock.jump(-7200)
    control.clock.advance(49)
    control = await start()
    await control.running(container)
    await control.reconciler.look()
    assert (await control.get(container)).status.final is False
    control.clock.advance(1)
    await control.reconciler.look()
    assert (await control.ended(container)).status is ContainerStatus.TIMEOUT
    assert await seconds_of(control, container) == 80


async def test_the_time_without_a_server_counts_if_the_sandbox_is_found_again(start: Start) -> None:
    control = await start()
    container = await a_running(control)
    control.clock.advance(60)
    await control.kill()
    control.clock.advance(100)
    control = await start()
    await control.running(container)
    control.clock.advance(5)
    await control.containers.cancel(control.account, container.id)
    assert await seconds_of(control, container) == 165


@pytest.mark.parametrize("killed", [True, False])
@pytest.mark.parametrize("rebooted", [True, False])
async def test_a_sandbox_that_was_lost_is_paid_for_until_it_was_last_seen(
    start: Start, killed: bool, rebooted: bool
) -> None:
    control = await start()
    container = await a_running(control)
    control.clock.advance(60)
    await control.reconciler.metering.tick(control.reconciler.live)
    control.clock.advance(5)
    await (control.kill() if killed else control.reconciler.stop())
    await control.lose(container)
    control.clock.advance(1000)
    if rebooted:
        control.clock.reboot()
        control.clock.advance(2000)
    control = await start()
    ended = await control.ended(container)
    assert (ended.status, ended.end and ended.end.reason) == (ContainerStatus.FAILED, Reason.HOST)
    assert await seconds_of(control, container) == (60 if killed else 65)


async def test_the_limit_is_not_passed_and_warned_about_once(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    control = await start()
    container = await a_running(control, max_cost_credits=HOUR_CREDITS)
    control.clock.advance(0.8 * 3600 - 2)
    await control.reconciler.look()
    assert (await control.get(container)).budget_warned_at is None
    control.clock.advance(2)
    with caplog.at_level(logging.WARNING):
        await control.reconciler.look()
        warned_at = (await control.get(container)).budget_warned_at
        assert warned_at == control.clock.now()
        control = await start()
        await control.running(container)
        control.clock.advance(10)
        await control.reconciler.look()
    assert (await control.get(container)).budget_warned_at == warned_at
    assert sum("80 %" in record.message for record in caplog.records) == 1
    control.clock.advance(0.2 * 3600 - 10 - 1)
    await control.reconciler.look()
    ended = await control.ended(container)
    assert (ended.status, ended.end and ended.end.reason) == (ContainerStatus.TERMINATED, Reason.BUDGET)
    assert (ended.meter.seconds, ended.cost <= HOUR_CREDITS) == (3599, True)


async def test_prices_are_those_of_the_day_it_was_accepted(start: Start) -> None:
    control = await start()
    container = await a_running(control)
    control = await start(price_cpu_core_hour=1000.0)
    await control.running(container)
    control.clock.advance(3600)
    assert (await control.get(container)).cost == HOUR_CREDITS


async def test_a_hundred_creates_at_once_never_pass_a_limit(start: Start) -> None:
    control = await start(account_max_containers=7)
    control.images.hold = asyncio.Event()
    made = await asyncio.gather(*(control.create("localhost/silent") for _ in range(100)), return_exceptions=True)
    refused = [one for one in made if isinstance(one, BaseException)]
    assert len(refused) == 93
    for error in refused:
        assert isinstance(error, AccountLimitReached)
        assert error.details["retry_after_seconds"] > 0
        assert "7 containers of at most 7" in error.message
    first = next(one for one in made if isinstance(one, Container))
    await control.containers.cancel(control.account, first.id)
    await control.create("localhost/silent")
    with pytest.raises(AccountLimitReached):
        await control.create("localhost/silent")
    control.images.hold.set()


@pytest.mark.parametrize(
    ("limits", "resources", "error"),
    [
        ({"max_cpu_cores": 1.5}, Resources(1, 64, 1), AccountLimitReached),
        ({"max_memory_mb": 100}, Resources(0.1, 64, 1), AccountLimitReached),
        ({"max_cpu_cores": 1}, Resources(1.5, 64, 1), ResourcesUnavailable),
        ({"max_memory_mb": 100}, Resources(0.1, 128, 1), ResourcesUnavailable),
        ({"max_containers": None}, Resources(1, 64, 1), None),
    ],
)
async def test_an_accounts_own_limits_go_before_the_servers(
    start: Start, limits: dict[str, float | None], resources: Resources, error: type[CognitoraError] | None
) -> None:
    control = await start(account_max_containers=1)
    control.images.hold = asyncio.Event()
    await control.store.accounts.set_limits("default", {"max_containers": 5, **limits}, ())
    await control.create("localhost/silent", resources=Resources(0.6, 64, 1))
    if error is None:
        await control.create("localhost/silent", resources=resources)
    else:
        with pytest.raises(error):
            await control.create("localhost/silent", resources=resources)
    control.images.hold.set()


async def test_an_accounts_budget_is_not_passed_and_renews_with_the_month(start: Start) -> None:
    control = await start(account_budget_credits=HOUR_CREDITS)
    control.clock.jump((datetime(2026, 3, 10, tzinfo=UTC) - control.clock.now()).total_seconds())
    containers = [await a_running(control) for _ in range(3)]
    for _ in range(119):
        control.clock.advance(10)
        await control.reconciler.look()
    assert {(await control.get(one)).status.final for one in containers} == {False}
    for _ in range(20):
        control.clock.advance(0.5)
        await control.reconciler.look()
    ended = [await control.ended(one) for one in containers]
    assert {(one.status, one.end and one.end.reason) for one in ended} == {(ContainerStatus.TERMINATED, Reason.BUDGET)}
    assert "2026-04-01" in str(ended[0].end)
    assert HOUR_CREDITS - 0.006 < sum(one.cost for one in ended) <= HOUR_CREDITS
    with pytest.raises(BudgetExhausted, match=r"2\.0725 credits for March 2026.*2026-04-01"):
        await control.create("localhost/silent")
    control.clock.jump(22 * 86_400)
    await a_running(control)


async def test_waiting_containers_of_an_account_end_with_its_budget(start: Start) -> None:
    control = await start(account_budget_credits=HOUR_CREDITS)
    running = await a_running(control)
    control.images.hold = asyncio.Event()
    waiting = await control.create("localhost/silent")
    await until(lambda: control.reconciler.live.get(waiting.id) is not None)
    control.clock.advance(3600)
    await control.reconciler.look()
    for container in (running, waiting):
        end = (await control.ended(container)).end
        assert end is not None
        assert end.reason is Reason.BUDGET


async def test_a_long_queue_does_not_use_up_a_budget(start: Start) -> None:
    control = await start(account_budget_credits=HOUR_CREDITS * 20 / 3600, max_containers=1)
    running = await a_running(control)
    waiting = [await control.create("localhost/silent", persistent=True) for _ in range(30)]
    control.clock.advance(15)
    await control.reconciler.look()
    assert {(await control.get(one)).status.final for one in (running, *waiting)} == {False}
    for _ in range(10):
        control.clock.advance(0.5)
        await control.reconciler.look()
    ended = [await control.ended(one) for one in (running, *waiting)]
    assert {one.end and one.end.reason for one in ended} == {Reason.BUDGET}
    assert sum(one.cost for one in ended) <= HOUR_CREDITS * 20 / 3600


async def test_usage_is_told_until_this_moment(start: Start) -> None:
    control = await start(account_budget_credits=10.0, account_max_containers=5)
    control.clock.jump((datetime(2026, 3, 10, 23, 59, 50, tzinfo=UTC) - control.clock.now()).total_seconds())
    container = await a_running(control)
    reports = UsageReports(control.store, control.reconciler, control.reconciler._shop.settings, control.clock)
    control.clock.advance(30.5)
    days = await reports.report(control.account, UsageFilter(date(2026, 3, 1), date(2026, 3, 31)), Page())
    assert [(item.key, item.seconds) for item in days.sums.items] == [("2026-03-10", 10), ("2026-03-11", 21)]
    assert days.whole.micro == days.standing.spent == round(HOUR_CREDITS * 31 / 3600 * 1_000_000)
    assert days.standing.remaining == 10_000_000 - days.standing.spent
    assert (days.standing.containers, days.standing.cpu_cores, days.standing.memory_mb) == (1, 1, 128)
    await control.containers.cancel(control.account, container.id)
    wanted = UsageFilter(date(2026, 3, 11), date(2026, 3, 11), UsageGroup.CONTAINER)
    one = await reports.report(control.account, wanted, Page())
    assert [(item.key, item.image, item.seconds) for item in one.sums.items] == [(container.id, container.image, 21)]
    assert one.standing.containers == 0


async def test_what_is_shown_while_it_ends_is_no_less_and_no_more_than_the_bill(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    control = await start()
    container = await a_running(control)
    live = control.reconciler.live.get(container.id)
    assert live is not None
    assert live.sandbox is not None
    kind, asked, answer = type(live.sandbox), asyncio.Event(), asyncio.Event()
    usage = kind.usage

    async def slow(sandbox: FakeSandbox) -> Usage:
        asked.set()
        await answer.wait()
        return Usage()

    control.clock.advance(100)
    monkeypatch.setattr(kind, "usage", slow)
    looking = asyncio.create_task(control.get(container))
    await asked.wait()
    monkeypatch.setattr(kind, "usage", usage)
    await control.containers.cancel(control.account, container.id)
    answer.set()
    assert (await looking).meter.seconds == (await control.get(container)).meter.seconds == 100


async def test_an_end_that_cannot_be_written_at_once_is_paid_for_until_it_began(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconciler, "_RETRY_SECONDS", 0.01)
    control = await start()
    container = await a_running(control)
    control.clock.advance(100)
    stop, tries = control.store.usage.stop, 0

    async def fails_once(*arguments: Any, **changes: Any) -> Container | None:
        nonlocal tries
        tries += 1
        control.clock.advance(50)
        if tries == 1:
            raise OSError("the disk is full")
        return await stop(*arguments, **changes)

    monkeypatch.setattr(control.store.usage, "stop", fails_once)
    await control.containers.cancel(control.account, container.id)
    assert (await control.ended(container)).status is ContainerStatus.CANCELLED
    assert await seconds_of(control, container) == 100
