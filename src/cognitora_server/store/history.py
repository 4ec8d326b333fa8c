"""What has ended, to be forgotten piece by piece: each is a short transaction, since all work shares one thread."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, delete, func, select

from .database import Database
from .rows import UNENDED
from .tables import containers, executions, outputs

#: A piece is no more than so many executions, or bytes.
_PIECE_ROWS, _PIECE_BYTES = 200, 8 << 20
_SUMMED_AT_ONCE = 1_000

_ENDED = executions.c.completed_at.is_not(None)


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What one piece of work took away."""

    containers: int = 0
    executions: int = 0
    bytes: int = 0

    def __bool__(self) -> bool:
        return bool(self.containers or self.executions)

    def __add__(self, other: Forgotten) -> Forgotten:
        return Forgotten(
            self.containers + other.containers, self.executions + other.executions, self.bytes + other.bytes
        )


class HistoryStore:
    """Measures and forgets containers that have ended, and executions that have ended in those that go on."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def size(self) -> int:
        """Return about how many bytes containers and executions take."""
        total, last = 0, ""
        while True:
            found, size, last = await self._database.read(lambda c, after=last: _sum(c, after))  # type: ignore[misc]
            total += size
            if found < _SUMMED_AT_ONCE:
                return total

    async def forget_oldest(self, before: datetime | None = None) -> Forgotten:
        """Forget a piece of what ended first (and before `before`); nothing is left to forget when it is empty.

        Containers go with all of their executions. Of those that go on, single executions go, but never the main one.
        """
        return await self._database.write(lambda c: _forget_oldest(c, before))


def _sum(connection: Connection, after: str) -> tuple[int, int, str]:
    page = select(containers.c.id, containers.c.size).where(containers.c.id > after).order_by(containers.c.id)
    rows = connection.execute(page.limit(_SUMMED_AT_ONCE)).all()
    if not rows:
        return 0, 0, after
    last = rows[-1].id
    theirs = select(func.coalesce(func.sum(executions.c.size), 0)).where(
        executions.c.container_id > after, executions.c.container_id <= last
    )
    return len(rows), sum(row.size for row in rows) + connection.execute(theirs).scalar_one(), last


def _forget_oldest(connection: Connection, before: datetime | None) -> Forgotten:
    ended = select(containers.c.id, containers.c.completed_at, containers.c.size).where(
        containers.c.completed_at.is_not(None)
    )
    if before is not None:
        ended = ended.where(containers.c.completed_at < before)
    oldest = connection.execute(ended.order_by(containers.c.completed_at, containers.c.id).limit(1)).one_or_none()
    of_living = _forget_executions(connection, _of_living(oldest.completed_at if oldest else before))
    if of_living or oldest is None:
        return of_living
    theirs = _EXECUTIONS.where(executions.c.container_id == oldest.id)
    forgotten = _forget_executions(connection, theirs)
    if connection.execute(theirs.limit(1)).first() is None:
        connection.execute(delete(containers).where(containers.c.id == oldest.id))
        forgotten += Forgotten(containers=1, bytes=oldest.size)
    return forgotten


_EXECUTIONS = select(executions.c.id, executions.c.size)


def _of_living(before: datetime | None) -> Select[Any]:
    living = select(containers.c.id).where(containers.c.status.in_(UNENDED))
    found = _EXECUTIONS.where(executions.c.container_id.in_(living), executions.c.main.is_(False), _ENDED)
    if before is not None:
        found = found.where(executions.c.completed_at < before)
    return found.order_by(executions.c.completed_at)


def _forget_executions(connection: Connection, wanted: Select[Any]) -> Forgotten:
    ids: list[str] = []
    size = 0
    for row in connection.execute(wanted.limit(_PIECE_ROWS)).all():
        if ids and size + row.size > _PIECE_BYTES:
            break
        ids.append(row.id)
        size += row.size
    if ids:
        connection.execute(delete(outputs).where(outputs.c.execution_id.in_(ids)))
        connection.execute(delete(executions).where(executions.c.id.in_(ids)))
    return Forgotten(executions=len(ids), bytes=size)
