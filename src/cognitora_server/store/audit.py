"""The audit log in the store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Insert, and_, delete, func, insert, select, true

from cognitora_server.domain.audit import Actor, AuditEntry, AuditFilter
from cognitora_server.domain.pages import Listing, Page

from .database import Database
from .tables import audit

#: More entries than this are not counted for a list's `total`: counting is work, and everything waits for it.
MOST_COUNTED = 100_000

#: So many are written at once: all of a long outage would be more than one statement takes, and hold up the rest.
_PIECE = 500


def audit_insert(*entries: AuditEntry) -> Insert:
    """Return the statement that remembers entries, to go into the transaction of what they tell about."""
    return insert(audit).values([_values(entry) for entry in entries])


class AuditStore:
    """Remembers who did what."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, entries: Sequence[AuditEntry]) -> None:
        """Remember entries; one with an id that is there already takes its place."""
        for start in range(0, len(entries), _PIECE):
            piece = entries[start : start + _PIECE]
            await self._database.write(lambda c, piece=piece: _write(c, piece))  # type: ignore[misc]

    async def list(self, wanted: AuditFilter, page: Page) -> Listing[AuditEntry]:
        """Return a page of entries, newest first; `total` counts no further than MOST_COUNTED."""
        condition = _condition(wanted)
        counted = select(audit.c.id).where(condition).limit(MOST_COUNTED).subquery()
        rows = (
            select(audit).where(condition).order_by(audit.c.at.desc(), audit.c.id).limit(page.limit).offset(page.offset)
        )
        total, found = await self._database.read(
            lambda c: (c.execute(select(func.count()).select_from(counted)).scalar_one(), c.execute(rows).all())
        )
        return Listing(tuple(_entry(row) for row in found), total)

    async def prune(self, before: datetime, limit: int) -> int:
        """Forget up to `limit` entries older than `before`; return how many went."""
        old = select(audit.c.id).where(audit.c.at < before).limit(limit)
        return int(await self._database.write(lambda c: c.execute(delete(audit).where(audit.c.id.in_(old))).rowcount))


def _write(connection: Any, entries: Sequence[AuditEntry]) -> None:
    connection.execute(delete(audit).where(audit.c.id.in_([entry.id for entry in entries])))
    connection.execute(insert(audit), [_values(entry) for entry in entries])


def _values(entry: AuditEntry) -> dict[str, Any]:
    values = {field.name: getattr(entry, field.name) for field in fields(entry)}
    return values | {"details": dict(entry.details)}


def _entry(row: Any) -> AuditEntry:
    values = dict(row._mapping)
    return AuditEntry(**values | {"actor": Actor(values["actor"])})


def _condition(wanted: AuditFilter) -> ColumnElement[bool]:
    conditions: list[ColumnElement[bool]] = [true()]
    for name in ("account_id", "action", "container_id"):
        if (value := getattr(wanted, name)) is not None:
            conditions.append(audit.c[name] == value)
    if wanted.since is not None:
        conditions.append(audit.c.at >= wanted.since)
    if wanted.until is not None:
        conditions.append(audit.c.at < wanted.until)
    return and_(*conditions)
