"""Executions in the store."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from sqlalchemy import ColumnElement, Insert, and_, func, insert, select, update

from cognitora_server.domain.executions import Execution, ExecutionFilter, ExecutionStatus
from cognitora_server.domain.pages import Listing, Page

from .database import Database
from .idempotency import made_by
from .rows import execution_of, execution_values
from .tables import executions

#: A list shows the beginning of each output only (in characters); the execution itself has all of it.
LISTED_OUTPUT = 16 * 1024

_LONG = ("combined", "stdout", "stderr")
_LISTED = [
    func.substr(column, 1, LISTED_OUTPUT).label(column.name) if column.name in _LONG else column
    for column in executions.c
]
_FINAL = [status for status in ExecutionStatus if status.final]


def execution_insert(execution: Execution) -> Insert:
    """Return the statement that remembers a new execution."""
    values = {field.name: getattr(execution, field.name) for field in fields(execution)}
    return insert(executions).values(execution_values(values))


class ExecutionStore:
    """Remembers executions. Nothing changes one that has ended."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, execution: Execution, idempotency_key: str | None = None) -> None:
        """Remember a new execution, and in the same transaction that the key's request made it."""

        def work(connection: Any) -> None:
            connection.execute(execution_insert(execution))
            if idempotency_key is not None:
                connection.execute(made_by(execution.account_id, idempotency_key, execution.id))

        await self._database.write(work)

    async def change(self, execution_id: str, **changes: Any) -> Execution | None:
        """Change fields of an execution that has not ended, and return it; None if it has ended or never was."""
        statement = (
            update(executions)
            .where(executions.c.id == execution_id, executions.c.status.not_in(_FINAL))
            .values(execution_values(changes))
            .returning(*executions.c)
        )
        row = await self._database.write(lambda c: c.execute(statement).one_or_none())
        return execution_of(row) if row is not None else None

    async def get(self, execution_id: str, account_id: str) -> Execution | None:
        """Return the execution, if it is there and the account's."""
        statement = select(executions).where(executions.c.id == execution_id, executions.c.account_id == account_id)
        row = await self._database.read(lambda c: c.execute(statement).one_or_none())
        return execution_of(row) if row is not None else None

    async def list(self, account_id: str, wanted: ExecutionFilter, page: Page) -> Listing[Execution]:
        """Return a page of an account's executions, newest first, with the beginning of their outputs."""
        condition = _condition(account_id, wanted)
        count = select(func.count()).select_from(executions).where(condition)
        rows = (
            select(*_LISTED)
            .where(condition)
            .order_by(executions.c.created_at.desc(), executions.c.id)
            .limit(page.limit)
            .offset(page.offset)
        )
        total, found = await self._database.read(lambda c: (c.execute(count).scalar_one(), c.execute(rows).all()))
        return Listing(tuple(map(execution_of, found)), total)

    async def main_of(self, container_id: str) -> Execution | None:
        """Return the execution of a container's own command, if it was started."""
        statement = select(executions).where(executions.c.container_id == container_id, executions.c.main)
        row = await self._database.read(lambda c: c.execute(statement).one_or_none())
        return execution_of(row) if row is not None else None

    async def unfinished(self, container_id: str | None = None) -> tuple[Execution, ...]:
        """Return the executions (of one container, or of all) that have not ended."""
        statement = select(executions).where(executions.c.status.not_in(_FINAL))
        if container_id is not None:
            statement = statement.where(executions.c.container_id == container_id)
        return tuple(map(execution_of, await self._database.read(lambda c: c.execute(statement).all())))


def _condition(account_id: str, wanted: ExecutionFilter) -> ColumnElement[bool]:
    conditions: list[ColumnElement[bool]] = [executions.c.account_id == account_id]
    if wanted.container_id is not None:
        conditions.append(executions.c.container_id == wanted.container_id)
    if wanted.status is not None:
        conditions.append(executions.c.status == wanted.status)
    if wanted.language is not None:
        conditions.append(executions.c.language == wanted.language)
    return and_(*conditions)
