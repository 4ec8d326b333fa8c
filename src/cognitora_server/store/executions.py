"""Executions in the store."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, func, insert, select, update

from cognitora_server.domain.executions import Execution, ExecutionFilter, ExecutionStatus, Output
from cognitora_server.domain.pages import Listing, Page

from .database import Database
from .idempotency import made_by
from .outputs import PackedOutput, pack, pack_now, unpack
from .rows import execution_of, execution_size, execution_values
from .tables import executions, outputs

_FINAL = [status for status in ExecutionStatus if status.final]


def insert_execution(connection: Connection, execution: Execution) -> None:
    """Remember a new execution, as part of a transaction."""
    packed = pack_now(execution.output)
    values = execution_values({field.name: getattr(execution, field.name) for field in fields(execution)})
    values |= {"preview": packed.preview, "omitted_bytes": execution.output.omitted_bytes}
    connection.execute(insert(executions).values(values | {"size": execution_size(execution) + packed.size}))
    _insert_content(connection, execution.id, packed)


def _insert_content(connection: Connection, execution_id: str, packed: PackedOutput) -> None:
    if packed.content is not None:
        connection.execute(insert(outputs).values(execution_id=execution_id, content=packed.content))


class ExecutionStore:
    """Remembers executions. Nothing changes one that has ended."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, execution: Execution, idempotency_key: str | None = None) -> None:
        """Remember a new execution, and in the same transaction that the key's request made it."""

        def work(connection: Any) -> None:
            insert_execution(connection, execution)
            if idempotency_key is not None:
                connection.execute(made_by(execution.account_id, idempotency_key, execution.id))

        await self._database.write(work)

    async def change(self, execution_id: str, **changes: Any) -> Execution | None:
        """Change fields of an execution that has not ended, and return it; None if it has ended or never was."""
        output: Output | None = changes.get("output")
        packed = await pack(output) if output is not None else PackedOutput(None, None)
        values = execution_values(changes)
        if output is not None:
            values |= {"preview": packed.preview, "omitted_bytes": output.omitted_bytes}
            values["size"] = executions.c.size + packed.size + len(changes.get("error_message") or "")
        statement = (
            update(executions)
            .where(executions.c.id == execution_id, executions.c.status.not_in(_FINAL))
            .values(values)
            .returning(*executions.c)
        )

        def work(connection: Connection) -> Row[Any] | None:
            row = connection.execute(statement).one_or_none()
            if row is not None:
                _insert_content(connection, execution_id, packed)
            return row

        row = await self._database.write(work)
        if row is None:
            return None
        return replace(execution_of(row), output=output) if output is not None else execution_of(row)

    async def get(self, execution_id: str, account_id: str) -> Execution | None:
        """Return the execution with all of its output, if it is there and the account's."""
        return await self._whole(executions.c.id == execution_id, executions.c.account_id == account_id)

    async def _whole(self, *conditions: ColumnElement[bool]) -> Execution | None:
        statement = select(executions, outputs.c.content).outerjoin(outputs).where(*conditions)
        row = await self._database.read(lambda c: c.execute(statement).one_or_none())
        if row is None:
            return None
        content = row.content if row.content is not None else row.preview
        return replace(execution_of(row), output=await unpack(content, row.omitted_bytes))

    async def list(self, account_id: str, wanted: ExecutionFilter, page: Page) -> Listing[Execution]:
        """Return a page of an account's executions, newest first, with the beginning of their outputs."""
        condition = _condition(account_id, wanted)
        count = select(func.count()).select_from(executions).where(condition)
        rows = (
            select(executions)
            .where(condition)
            .order_by(executions.c.created_at.desc(), executions.c.id)
            .limit(page.limit)
            .offset(page.offset)
        )
        total, found = await self._database.read(lambda c: (c.execute(count).scalar_one(), c.execute(rows).all()))
        return Listing(tuple(map(execution_of, found)), total)

    async def main_of(self, container_id: str) -> Execution | None:
        """Return the execution of a container's own command, if it was started."""
        return await self._whole(executions.c.container_id == container_id, executions.c.main)

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
