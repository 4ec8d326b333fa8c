"""What an account has used, and how it stands."""

from __future__ import annotations

from cognitora_server.domain.clock import Clock
from cognitora_server.domain.pages import Page
from cognitora_server.domain.usage import UsageFilter, UsageReport
from cognitora_server.settings import Settings
from cognitora_server.store import Store

from .reconciler import Reconciler


class UsageReports:
    """The verb of usage."""

    def __init__(self, store: Store, reconciler: Reconciler, settings: Settings, clock: Clock) -> None:
        self._store = store
        self._reconciler = reconciler
        self._settings = settings
        self._clock = clock

    async def report(self, account_id: str, wanted: UsageFilter, page: Page) -> UsageReport:
        """Return what the account has used until this moment, also in containers that still run."""
        mine = [live for live in self._reconciler.live if live.container.account_id == account_id]
        await self._reconciler.metering.read(mine)
        sums, whole = await self._store.usage.sums(account_id, wanted, page)
        defaults = self._settings.account_limits
        standing = await self._store.accounts.standing(account_id, defaults, self._clock.now())
        return UsageReport(sums, whole, standing)
