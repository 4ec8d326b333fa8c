"""First answers to requests that carried an Idempotency-Key."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, insert, select, update

from .database import Database
from .tables import idempotency

#: How long a first answer is kept.
KEPT = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class StoredRequest:
    """A request seen before: its fingerprint, and its answer unless it is still being worked on."""

    fingerprint: str
    status: int | None
    body: bytes | None


class IdempotencyStore:
    """Remembers first answers for 24 hours."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def claim(self, account_id: str, key: str, fingerprint: str, now: datetime) -> StoredRequest | None:
        """Take the key for this request and return None, or return the request that has it."""
        mine = _row(account_id, key)

        def work(connection: Any) -> StoredRequest | None:
            connection.execute(delete(idempotency).where(idempotency.c.created_at < now - KEPT))
            columns = (idempotency.c.fingerprint, idempotency.c.status, idempotency.c.body)
            row = connection.execute(select(*columns).where(mine)).one_or_none()
            if row is not None:
                return StoredRequest(**row._mapping)
            values = {"account_id": account_id, "key": key, "fingerprint": fingerprint, "created_at": now}
            connection.execute(insert(idempotency).values(values))
            return None

        return await self._database.write(work)

    async def finish(self, account_id: str, key: str, status: int, body: bytes) -> None:
        """Keep the answer."""
        statement = update(idempotency).where(_row(account_id, key)).values(status=status, body=body)
        await self._database.write(lambda c: c.execute(statement))

    async def abandon(self, account_id: str, key: str) -> None:
        """Forget the request, so that it can be tried again."""
        await self._database.write(lambda c: c.execute(delete(idempotency).where(_row(account_id, key))))

    async def abandon_unfinished(self) -> None:
        """Forget requests that a server which is gone was working on."""
        await self._database.write(lambda c: c.execute(delete(idempotency).where(idempotency.c.status.is_(None))))


def _row(account_id: str, key: str) -> Any:
    return (idempotency.c.account_id == account_id) & (idempotency.c.key == key)
