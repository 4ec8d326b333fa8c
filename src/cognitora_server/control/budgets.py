"""Ends the containers of an account before they cost more than its budget for the month."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable

from cognitora_server.domain.budgets import Month, budget_sentence
from cognitora_server.domain.clock import MICROSECONDS, Clock, Steady
from cognitora_server.domain.containers import ContainerStatus, End, Reason
from cognitora_server.domain.credits import micro_credits
from cognitora_server.domain.meters import Meter
from cognitora_server.settings import Settings
from cognitora_server.store import Store

from .live import Live
from .metering import MARGIN_SECONDS, meter_of

_MARGIN = round(MARGIN_SECONDS * MICROSECONDS)


class Budgets:
    """Looks after the budgets of accounts whose containers have not ended."""

    def __init__(self, store: Store, settings: Settings, clock: Clock) -> None:
        self._store = store
        self._settings = settings
        self._clock = clock

    async def enforce(self, lives: Iterable[Live]) -> None:
        """End all containers of the accounts whose budget will be used up before the next look at them."""
        by_account: dict[str, list[Live]] = {}
        for live in lives:
            by_account.setdefault(live.container.account_id, []).append(live)
        if not by_account:
            return
        month = Month.of(self._clock.now())
        # The meters in memory go with the ledger as it was just read: nothing may be awaited between.
        budgets = await self._store.accounts.budgets(by_account, self._settings.account_limits, month)
        used_up = [
            (account, budget)
            for account, budget, spent in budgets
            if spent + self._soon(by_account[account.id]) > micro_credits(budget)
        ]
        for account, budget in used_up:
            end = End(ContainerStatus.TERMINATED, Reason.BUDGET, budget_sentence(account, budget, month))
            # All at once: one after the other the last would go on spending while the first are written down.
            await asyncio.gather(*(live.want_end(end) for live in by_account[account.id]))

    def _soon(self, lives: Collection[Live]) -> int:
        """Return what is not in the ledger yet and will be in a moment, in millionths of a credit."""
        now = self._clock.steady()
        soon = Steady(now.boot, now.microseconds + _MARGIN)
        begun = sum(_unwritten(live, soon) for live in lives if not _waits(live))
        # What waits for room takes the place of what ends: the whole queue does not start in a moment.
        return begun + max((_unwritten(live, soon) for live in lives if _waits(live)), default=0)


def _waits(live: Live) -> bool:
    return live.container.status is ContainerStatus.QUEUED


def _unwritten(live: Live, soon: Steady) -> int:
    container = live.container
    if container.started_at is None:
        return container.bill(Meter(_MARGIN))  # it may start at any moment
    return container.bill(meter_of(live, soon)) - container.bill(container.meter)
