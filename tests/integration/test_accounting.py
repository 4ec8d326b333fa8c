"""500 containers with random lives: every bill is right to the second, and every sum adds up.

The model below is written from the documentation (docs/credits.md), with nothing of the server's: time in whole
microseconds, credits as fractions, days by looking at each second.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from itertools import cycle
from pathlib import Path

import pytest
import pytest_asyncio
from tests.controls import Control, Start, starting
from tests.hollow import HollowDriver

from cognitora_server.control import lifecycle, reconciler
from cognitora_server.domain.containers import Container, ContainerChange, ContainerRequest, ContainerStatus
from cognitora_server.domain.pages import Page
from cognitora_server.domain.resources import Resources
from cognitora_server.domain.usage import UsageFilter, UsageGroup

CONTAINERS = 500
AT_ONCE = 40
SECOND = 1_000_000
EVER = (date(1, 1, 1), date(9999, 12, 31))


@dataclass
class Model:
    """What one container should have been charged."""

    account: str
    image: str
    per_hour: Fraction
    most: float
    affordable: int
    deadline: int | None
    instant: datetime | None
    held: int = 0
    charged: int = 0
    end: str | None = None
    days: Counter[date] = field(default_factory=Counter)

    @property
    def seconds(self) -> int:
        return -(-self.charged // SECOND)

    @property
    def micro(self) -> int:
        return min(round(self.per_hour * self.seconds / 3600 * 10**6), int(Fraction(str(self.most)) * 10**6))

    def charge(self, now: datetime) -> None:
        """Charge what was held until `now`, each second to the day on which it began."""
        for second in range(self.seconds, -(-self.held // SECOND)):
            began = now - timedelta(microseconds=self.held - second * SECOND)
            self.days[began.date()] += 1
        self.charged = self.held

    def due(self, now: datetime) -> str | None:
        """Say how it ends now, if its time or its credits are over."""
        if self.instant is not None and now >= self.instant:
            return "TIMEOUT"
        if self.deadline is not None and self.held >= self.deadline:
            return "TIMEOUT"
        return "TERMINATED" if self.held >= (self.affordable - 1) * SECOND else None


class World:
    """The real thing and the model, which everything is done to at once."""

    def __init__(self, start: Start, driver: HollowDriver, seed: int) -> None:
        self.start = start
        self.driver = driver
        self.random = random.Random(seed)
        self.control: Control
        self.accounts: list[str] = []
        self.models: dict[str, Model] = {}
        self.ends: Counter[str] = Counter()
        self.restarted = 0
        self.restarts = cycle(((True, False), (False, False), (True, True), (True, False), (False, True)))

    async def begin(self) -> None:
        self.control = await self.start(
            host_cpu_cores=10_000, host_memory_mb=10_000_000, disk_reserve_bytes=0, concurrent_starts=64
        )
        if not self.accounts:
            other, _ = await self.control.store.keys.create("other", "other", self.control.clock.now())
            self.accounts = [self.control.account, other.account_id]

    @property
    def now(self) -> datetime:
        return self.control.clock.now()

    def running(self) -> list[str]:
        return [name for name, model in self.models.items() if model.end is None]

    async def create(self) -> None:
        """Accept a container and let it start."""
        choose = self.random
        # No resources whose price is half a millionth at any second: there is nothing to round either way.
        resources = Resources(choose.choice((0.5, 1, 2, 4)), choose.choice((512, 1024, 4096)), choose.randint(1, 20))
        per_hour = Fraction(resources.cpu_cores) * 2 + Fraction(resources.memory_mb, 2048)
        per_hour += Fraction(resources.storage_gb, 100)
        affordable = choose.choice((choose.randint(2, 2000), 10**6))
        most = float(per_hour * (2 * affordable + 1) / 7200)
        seconds, instant = choose.randint(20, 3000), None
        if choose.random() < 0.1:
            instant = self.now + timedelta(seconds=choose.randint(60, 90_000))
        account, image = choose.choice(self.accounts), choose.choice(("localhost/silent", "localhost/silent:2"))
        request = ContainerRequest(image, resources, most, persistent=True, timeout_seconds=seconds, expires_at=instant)
        made = await self.control.containers.create(account, request)
        deadline = seconds * SECOND if instant is None else None
        self.models[made.id] = Model(account, image, per_hour, most, affordable, deadline, instant)
        await self.runs(made.id)

    async def runs(self, name: str) -> None:
        live = self.control.reconciler.live.get(name)
        assert live is not None
        assert await asyncio.wait_for(live.usable(), 30)

    def advance(self, most: float) -> None:
        passed = self.random.randint(11 * SECOND, round(most * SECOND))
        self.control.clock.advance(passed / SECOND)
        for name in self.running():
            self.models[name].held += passed

    async def look(self) -> None:
        """Let the server look: what is due ends, everything is charged."""
        due = {name: end for name in self.running() if (end := self.models[name].due(self.now)) is not None}
        await self.control.reconciler.look()
        for name, end in due.items():
            await self.ended(name, end)
        for name in self.running():
            self.models[name].charge(self.now)

    async def ended(self, name: str, end: str) -> None:
        """Wait for an end that must come, and see that it is this one."""
        live = self.control.reconciler.live.get(name)
        if live is not None:
            await asyncio.wait_for(live.ended.wait(), 30)
        model = self.models[name]
        model.charge(self.now)
        model.end = end
        self.ends[end] += 1
        assert (await self.found(name)).status == end

    async def found(self, name: str) -> Container:
        return await self.control.containers.get(self.models[name].account, name)

    async def patch(self) -> None:
        name, seconds = self.random.choice(self.running()), self.random.randint(10, 1500)
        model = self.models[name]
        await self.control.containers.update(model.account, name, ContainerChange(timeout_seconds=seconds))
        model.deadline, model.instant = model.held + seconds * SECOND, None

    async def cancel(self) -> None:
        name = self.random.choice(self.running())
        await self.control.containers.cancel(self.models[name].account, name)
        await self.ended(name, "CANCELLED")

    async def break_one(self) -> None:
        """A sandbox dies while the server watches it."""
        name = self.random.choice(self.running())
        await self.driver.destroy(name)
        await self.ended(name, "FAILED")

    async def restart(self, *, killed: bool, rebooted: bool) -> None:
        """The server ends, in one way or the other; time passes; some sandboxes, or all, are gone; it starts again."""
        self.restarted += 1
        if self.random.random() < 0.7:
            self.advance(120)
        if killed:
            await self.control.kill()
        else:
            await self.control.reconciler.stop()
            for name in self.running():
                self.models[name].charge(self.now)
        lost = set(self.running()) if rebooted else {n for n in self.running() if self.random.random() < 0.15}
        for name in lost:
            await self.driver.destroy(name)
            self.models[name].held = self.models[name].charged
        if rebooted:
            self.control.clock.reboot()
        passed = self.random.randint(0, 900 * SECOND)
        self.control.clock.advance(passed / SECOND)
        for name in set(self.running()) - lost:
            self.models[name].held += passed
        await self.begin()
        for name in lost:
            await self.ended(name, "FAILED")
        for name in self.running():
            await self.runs(name)

    async def one_thing(self) -> None:
        """Do something that happens to containers and their servers."""
        what = self.random.random()
        if what < 0.3 and self.running():
            await self.patch()
        elif what < 0.5 and self.running():
            await self.cancel()
        elif what < 0.6 and self.running():
            await self.break_one()
        elif what < 0.7:
            self.control.clock.jump(self.random.choice((-90_000, -3600, -1.5, 0.25, 7200, 100_000)))
        elif what < 0.8:
            killed, rebooted = next(self.restarts)
            await self.restart(killed=killed, rebooted=rebooted)
        else:
            self.advance(400)
            await self.look()

    async def live(self) -> None:
        """Let all containers live, and end those that are left."""
        while len(self.models) < CONTAINERS:
            room = min(CONTAINERS - len(self.models), AT_ONCE - len(self.running()))
            await asyncio.gather(*(self.create() for _ in range(self.random.randint(0, room))))
            await self.one_thing()
            await self.shown_live()
        while self.running():
            await self.cancel()

    async def shown_live(self) -> None:
        """See that one that runs is answered with what it has cost until now."""
        if self.running():
            name = self.random.choice(self.running())
            model = self.models[name]
            found = await self.found(name)
            assert found.meter.held == model.held
            seconds = -(-model.held // SECOND)
            limit = int(Fraction(str(model.most)) * 10**6)
            assert round(found.cost * 10**6) == min(round(model.per_hour * seconds / 3600 * 10**6), limit)


@pytest_asyncio.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    # The test itself lets the server look; and nobody is inside who could answer.
    monkeypatch.setattr(reconciler, "_LOOK_SECONDS", 1e6)
    monkeypatch.setattr(lifecycle, "_PING_SECONDS", 1e6)
    driver = HollowDriver()
    async with starting(tmp_path, driver) as start:
        made = World(start, driver, seed=20_260)
        await made.begin()
        made.control.clock.jump((datetime(2026, 3, 30, 20, tzinfo=UTC) - made.now).total_seconds())
        yield made


async def test_five_hundred_lives_add_up_to_the_second(world: World) -> None:
    await world.live()
    assert len(world.models) == CONTAINERS
    assert {"TIMEOUT", "TERMINATED", "CANCELLED", "FAILED"} == set(world.ends), world.ends
    assert world.restarted >= 5
    for name, model in world.models.items():
        found = await world.found(name)
        assert (found.meter.seconds, round(found.cost * 10**6)) == (model.seconds, model.micro), (name, model)
        assert found.cost <= found.max_cost_credits
    for account in world.accounts:
        mine = {name: model for name, model in world.models.items() if model.account == account}
        await ledger_is_right(world.control, account, mine)


async def ledger_is_right(control: Control, account: str, mine: dict[str, Model]) -> None:
    """Compare the account's ledger with the model, summed up in every way."""
    expected = {name: (model.seconds, model.micro) for name, model in mine.items() if model.seconds}
    assert await sums(control, account, UsageGroup.CONTAINER) == expected
    images = {model.image for model in mine.values()}
    by_image = {image: total(model for model in mine.values() if model.image == image) for image in images}
    assert await sums(control, account, UsageGroup.IMAGE) == by_image
    days = await sums(control, account, UsageGroup.DAY)
    by_day: Counter[date] = sum((model.days for model in mine.values()), Counter())
    assert {date.fromisoformat(day): seconds for day, (seconds, _) in days.items()} == dict(by_day)
    assert len(days) > 2
    assert (sum(seconds for seconds, _ in days.values()), sum(micro for _, micro in days.values())) == total(
        mine.values()
    )
    assert ContainerStatus.RUNNING not in {model.end for model in mine.values()}


def total(models: Iterable[Model]) -> tuple[int, int]:
    found = list(models)
    return sum(model.seconds for model in found), sum(model.micro for model in found)


async def sums(control: Control, account: str, group: UsageGroup) -> dict[str, tuple[int, int]]:
    """Return all pages of a ledger's sums: seconds and millionths of a credit by key."""
    found: dict[str, tuple[int, int]] = {}
    whole = (0, 0)
    for offset in range(0, CONTAINERS, 100):
        listing, everything = await control.store.usage.sums(account, UsageFilter(*EVER, group), Page(100, offset))
        found |= {item.key: (item.seconds, item.micro) for item in listing.items}
        whole = (everything.seconds, everything.micro)
    assert len(found) == listing.total
    assert whole == (sum(seconds for seconds, _ in found.values()), sum(micro for _, micro in found.values()))
    return found
