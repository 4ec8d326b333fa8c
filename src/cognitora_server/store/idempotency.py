"""First answers to requests that carried an Idempotency-Key, and what those requests made."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Delete, Update, and_, case, delete, insert, not_, or_, select, tuple_, update

from cognitora_server.domain.ids import EXECUTION

from .database import Database
from .tables import idempotency

#: How long a first answer is kept.
KEPT = timedelta(hours=24)
#: The answer about what takes longer comes later: what was made is remembered until no container can be that old.
_MADE_KEPT = timedelta(days=90)
#: A larger answer (in bytes) about an execution is not kept: it is told again from the execution, which never changes.
_LARGEST_KEPT = 16 * 1024
_FORGOTTEN_AT_ONCE = 200


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
            connection.execute(_forget_old(now))
            columns = (idempotency.c[name] for name in StoredRequest.__dataclass_fields__)
            row = connection.execute(select(*columns).where(mine)).one_or_none()
            if row is not None and (row.status is not None or row.resource_id is not None):
                return StoredRequest(**row._mapping)
            connection.execute(delete(idempotency).where(mine))
            values = {"account_id": account_id, "key": key, "fingerprint": fingerprint, "created_at": now}
            connection.execute(insert(idempotency).values(values))
            return None

        return await self._database.write(work)

    async def finish(self, account_id: str, key: str, status: int, body: bytes, now: datetime) -> None:
        """Keep the answer, from `now` on; of a large one about an execution, only which that is."""
        told_again = idempotency.c.resource_id.startswith(f"{EXECUTION}_")
        kept = body if len(body) <= _LARGEST_KEPT else case((told_again, None), else_=body)
        values = {"status": status, "body": kept, "created_at": now}
        await self._database.write(lambda c: c.execute(update(idempotency).where(_row(account_id, key)).values(values)))

    async def abandon(self, account_id: str, key: str) -> None:
        """Forget the request, so that it can be tried again; unless it has made something."""
        unmade = _row(account_id, key) & idempotency.c.resource_id.is_(None)
        await self._database.write(lambda c: c.execute(delete(idempotency).where(unmade)))

    async def unmake(self, resource_id: str) -> None:
        """Forget that a request made this, which came to nothing: it can be tried again."""
        statement = update(idempotency).where(idempotency.c.resource_id == resource_id).values(resource_id=None)
        await self._database.write(lambda c: c.execute(statement))


def _forget_old(now: datetime) -> Delete:
    # The work of one claim is bounded: what is left is done by those that follow.
    at_work = and_(idempotency.c.status.is_(None), idempotency.c.resource_id.is_not(None))
    old = or_(and_(idempotency.c.created_at < now - KEPT, not_(at_work)), idempotency.c.created_at < now - _MADE_KEPT)
    keys = (idempotency.c.account_id, idempotency.c.key)
    return delete(idempotency).where(tuple_(*keys).in_(select(*keys).where(old).limit(_FORGOTTEN_AT_ONCE)))


def _row(account_id: str, key: str) -> Any:
    return (idempotency.c.account_id == account_id) & (idempotency.c.key == key)
