"""Reads meters, and says what they mean: when a container's time or credits are over."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from cognitora_server.domain.clock import MICROSECONDS, Clock, Steady
from cognitora_server.domain.containers import Container, ContainerStatus, End, Reason
from cognitora_server.domain.credits import micro_credits, seconds_affordable
from cognitora_server.domain.meters import Meter
from cognitora_server.store import Store

from .live import Live

_log = logging.getLogger(__name__)

#: So many seconds at most are not paid for when the server is killed and the sandbox with it.
_TICK = 10 * MICROSECONDS
#: Containers are looked at twice a second: ending this much earlier keeps the bill below the limit.
MARGIN_SECONDS = 1.0
#: A container that has used this share of its maxCostCredits is warned about.
_WARNING_PERCENT = 80


class Metering:
    """Charges containers for the time in which this server knows that they are held."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._ticked: Steady | None = None

    async def tick_if_due(self, lives: Iterable[Live]) -> None:
        """Read all meters if that was not done for about ten seconds."""
        steady, last = self._clock.steady(), self._ticked
        if last is None or last.boot != steady.boot or steady.microseconds - last.microseconds >= _TICK:
            await self.tick(lives)

    async def tick(self, lives: Iterable[Live]) -> None:
        """Read all meters and charge what they add, in one transaction."""
        steady = self._clock.steady()
        await self.read(lives)
        self._ticked = steady

    async def read(self, lives: Iterable[Live]) -> None:
        """Read the meters of these containers and charge what they add."""
        held = {live.container.id: live for live in lives if live.sandbox is not None}
        if not held:
            return
        for container in await self._store.usage.tick(held.keys(), self._clock.steady(), self._clock.now()):
            held[container.id].container = container

    async def stop(self, live: Live, **changes: Any) -> None:
        """Stop a container's meter and change its record. Time in which it was not known to be held is not charged.

        Where this fails it can be repeated, also without the sandbox: it is charged until the first time.
        """
        if live.sandbox is not None:
            live.held_until = self._clock.steady()
        stopped = await self._store.usage.stop(live.container.id, live.held_until, self._clock.now(), **changes)
        if stopped is not None:
            live.container = stopped

    async def warn(self, live: Live) -> None:
        """Say once, in the log and in the container's record, that most of its maxCostCredits are used."""
        container = live.container
        limit = micro_credits(container.max_cost_credits)
        if container.budget_warned_at is not None or container.started_at is None:
            return
        if container.bill(meter_of(live, self._clock.steady())) * 100 < limit * _WARNING_PERCENT:
            return
        await live.change(budget_warned_at=self._clock.now())
        extra = {"container_id": container.id}
        _log.warning("has used 80 %% of its maxCostCredits (%.12g)", container.max_cost_credits, extra=extra)


def meter_of(live: Live, steady: Steady) -> Meter:
    """Return the meter of a live container at this moment; while it is not known to be held, as it was last read."""
    meter = live.container.meter
    return meter.read(steady) if live.sandbox is not None else meter


def due(container: Container, meter: Meter, now: datetime) -> End | None:
    """Return the end of a container whose time or credits are over, with its meter at `meter`."""
    if _time_is_over(container, meter, now):
        return End(
            ContainerStatus.TIMEOUT,
            Reason.TIMEOUT,
            f"Its time was over ({container.timeout_seconds} s). Give a larger timeoutSeconds, or extend it "
            "with PATCH while it runs.",
        )
    if container.started_at is not None and _credits_are_over(container, meter):
        return End(
            ContainerStatus.TERMINATED,
            Reason.BUDGET,
            f"Its maxCostCredits ({container.max_cost_credits:.12g}) were used up. Create it with more.",
        )
    return None


def _time_is_over(container: Container, meter: Meter, now: datetime) -> bool:
    if container.expires_fixed:
        return now >= container.expires_at
    return container.expires_held is not None and meter.held >= container.expires_held


def _credits_are_over(container: Container, meter: Meter) -> bool:
    limit = micro_credits(container.max_cost_credits)
    affordable = seconds_affordable(container.resources, limit, container.prices)
    return meter.held >= (affordable - min(MARGIN_SECONDS, affordable / 2)) * MICROSECONDS
