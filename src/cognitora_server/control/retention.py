"""Forgets what is older, or more, than is to be kept, a little at a time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta

from cognitora_server.domain.clock import Clock
from cognitora_server.settings import Settings
from cognitora_server.store import Store
from cognitora_server.store.history import Forgotten

_log = logging.getLogger(__name__)

#: Between two pieces the database does what others want of it.
_PAUSE_SECONDS = 0.01
_AUDIT_ROWS = 500


class Retention:
    """Keeps history within its age and size. What goes on is never forgotten."""

    def __init__(self, store: Store, settings: Settings, clock: Clock) -> None:
        self._store = store
        self._settings = settings
        self._clock = clock
        self._at_work = asyncio.Lock()

    async def prune(self) -> None:
        """Forget what is too old, then what is too much, oldest first; give the space back."""
        if self._at_work.locked():
            return  # the last time is not over yet, and does it all
        async with self._at_work:
            await self._erase_secrets()
            forgotten = await self._prune_by_age() + await self._prune_by_size()
            await self._prune_audit()
            if forgotten:
                _log.info(
                    "history: forgot %d containers and %d executions, %d bytes",
                    forgotten.containers,
                    forgotten.executions,
                    forgotten.bytes,
                )
            await _in_pieces(self._store.database.give_back_space)

    async def _prune_by_age(self) -> Forgotten:
        before = self._clock.now() - timedelta(days=self._settings.history_days)
        total = Forgotten()
        while piece := await self._store.history.forget_oldest(before):
            total += piece
            await asyncio.sleep(_PAUSE_SECONDS)
        return total

    async def _prune_by_size(self) -> Forgotten:
        too_much = await self._store.history.size() - self._settings.history_max_bytes
        total = Forgotten()
        while total.bytes < too_much and (piece := await self._store.history.forget_oldest()):
            total += piece
            await asyncio.sleep(_PAUSE_SECONDS)
        return total

    async def _prune_audit(self) -> None:
        before = self._clock.now() - timedelta(days=self._settings.audit_days)
        await _in_pieces(lambda: self._store.audit.prune(before, _AUDIT_ROWS))

    async def _erase_secrets(self) -> None:
        """Rows without their secrets are written; the log that had them must go too."""
        containers = self._store.containers
        if containers.log_holds_secrets:
            containers.log_holds_secrets = False
            containers.log_holds_secrets |= not await self._store.database.empty_log()


async def _in_pieces(work: Callable[[], Awaitable[object]]) -> None:
    """Do `work` until there is none."""
    while True:
        if not await work():
            return
        await asyncio.sleep(_PAUSE_SECONDS)
