"""Writes the audit log: every entry soon after its action, many in one transaction, none in the way of an answer."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from dataclasses import replace
from datetime import timedelta

from cognitora_server.domain.audit import Actor, AuditEntry, AuditFilter
from cognitora_server.domain.clock import Clock
from cognitora_server.domain.ids import AUDIT, new_id
from cognitora_server.domain.pages import Listing, Page
from cognitora_server.store import Store

_log = logging.getLogger(__name__)

#: An entry is durable about so long after its action.
_FLUSH_SECONDS = 0.1
#: What takes longer than this is written down before it is done, too: the server could be killed meanwhile.
_LONG = timedelta(seconds=1)
#: Entries that wait while the database cannot take them; beyond that the newest are lost, and the log says so.
_MOST_WAITING = 20_000
#: Callers without a valid key are anybody: they are summed up, so that they cannot fill the disk.
_REFUSALS_EVERY = timedelta(minutes=5)
_MOST_ADDRESSES = 20
_OTHERS = "others"


class AuditLog:
    """Takes entries at once and writes them in the background, from `start` to `stop`."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._at_work: dict[str, AuditEntry] = {}
        self._shown: set[str] = set()
        self._waiting: list[AuditEntry] = []
        self._refused: Counter[str] = Counter()
        self._refused_since = clock.now()
        self._task: asyncio.Task[None] | None = None
        self.lost = 0

    def start(self) -> None:
        """Begin to write."""
        self._task = asyncio.create_task(self._write_regularly())

    async def stop(self) -> None:
        """Write what is waiting, and what was at work; end. Idempotent."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
            self._task = None
            self._waiting += self._at_work.values()
            self._sum_up_refusals()
            await self.flush()

    def begin(self, entry: AuditEntry) -> None:
        """Take an action that begins now."""
        self._at_work[entry.id] = entry

    def finish(self, entry: AuditEntry) -> None:
        """Take an action that is done."""
        self._at_work.pop(entry.id, None)
        self._shown.discard(entry.id)
        self._take(entry)

    def refused(self, remote_address: str | None) -> None:
        """Count a request without a valid key."""
        address = remote_address or _OTHERS
        known = address in self._refused or len(self._refused) < _MOST_ADDRESSES
        self._refused[address if known else _OTHERS] += 1

    async def list(self, wanted: AuditFilter, page: Page) -> Listing[AuditEntry]:
        """Return a page of entries, newest first; what was done before is in it."""
        await self.flush()
        return await self._store.audit.list(wanted, page)

    async def flush(self) -> None:
        """Write what is waiting. What cannot be written waits on."""
        entries, self._waiting = self._waiting, []
        try:
            # What ended soon after it was written as begun is in the same batch twice.
            await self._store.audit.add(list({entry.id: entry for entry in entries}.values()))
        except Exception:
            _log.exception("%d audit entries cannot be written; they will be tried again", len(entries))
            self._waiting = entries + self._waiting

    async def _write_regularly(self) -> None:
        while True:
            await asyncio.sleep(_FLUSH_SECONDS)
            now = self._clock.now()
            for entry in list(self._at_work.values()):
                if entry.id not in self._shown and now - entry.at >= _LONG:
                    self._shown.add(entry.id)
                    self._take(entry)
            if now - self._refused_since >= _REFUSALS_EVERY:
                self._sum_up_refusals()
            if self._waiting:
                await self.flush()

    def _take(self, entry: AuditEntry) -> None:
        if len(self._waiting) < _MOST_WAITING:
            self._waiting.append(entry)
            return
        self.lost += 1
        if self.lost & (self.lost - 1) == 0:
            _log.error("%d audit entries are lost: the database does not take them", self.lost)

    def _sum_up_refusals(self) -> None:
        since, self._refused_since = self._refused_since, self._clock.now()
        refused, self._refused = self._refused, Counter()
        for address, count in refused.items():
            known = None if address == _OTHERS else address
            entry = AuditEntry(new_id(AUDIT), since, Actor.UNKNOWN, "auth.refused", remote_address=known, status=401)
            self._take(replace(entry, details={"count": count, "until": self._refused_since.isoformat()}))
