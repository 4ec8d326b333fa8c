"""First answers to requests that carried an Idempotency-Key, and what those requests made."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Update, delete, insert, select, update

from .database import Database
from .tables import idempotency

#: How long a first answer is kept.
KEPT = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class StoredRequest:
    """A request seen before: its fingerprint, its answer once there is one, and what it has made so far."""

    fingerprint: str
    status: int | None
    body: bytes | None
    resource_id: str | None


def made_by(account_id: str, key: str, resource_id: str) -> Update:
    """Return the statement that remembers what the key's request made; it belongs in the same transaction."""
    return update(idempotency).where(_row(account_id, key)).values(resource_id=resource_id)


class IdempotencyStore:
    """Remembers first answers for 24 hours."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def claim(self, account_id: str, key: str, fingerprint: str, now: datetime) -> StoredRequest | None:
        """Take the key for this request and return None, or return the request that has it.

        A request that has neither an answer nor made anything does not have the key any more: its server is gone.
        """
        mine = _row(account_id, key)

        def work(connection: Any) -> StoredRequest | None:
            connection.execute(delete(idempotency).where(idempotency.c.created_at < now - KEPT))
            columns = (idempotency.c[name] for name in StoredRequest.__dataclass_fields__)
            row = connection.execute(select(*columns).where(mine)).one_or_none()
            if row is not None and (row.status is not None or row.resource_id is not None):
                return StoredRequest(**row._mapping)
            connection.execute(delete(idempotency).where(mine))
            values = {"account_id": account_id, "key": key, "fingerprint": fingerprint, "created_at": now}
            connection.execute(insert(idempotency).values(values))
            return None

        return await self._database.write(work)

    async def finish(self, account_id: str, key: str, status: int, body: bytes) -> None:
        """Keep the answer."""
        statement = update(idempotency).where(_row(account_id, key)).values(status=status, body=body)
        await self._database.write(lambda c: c.execute(statement))

    async def abandon(self, account_id: str, key: str) -> None:
        """Forget the request, so that it can be tried again; unless it has made something."""
        unmade = _row(account_id, key) & idempotency.c.resource_id.is_(None)
        await self._database.write(lambda c: c.execute(delete(idempotency).where(unmade)))

    async def unmake(self, resource_id: str) -> None:
        """Forget that a request made this, which came to nothing: it can be tried again."""
        statement = update(idempotency).where(idempotency.c.resource_id == resource_id).values(resource_id=None)
        await self._database.write(lambda c: c.execute(statement))


def _row(account_id: str, key: str) -> Any:
    return (idempotency.c.account_id == account_id) & (idempotency.c.key == key)
