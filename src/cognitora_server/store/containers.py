"""Containers in the store."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, insert, select, update

from cognitora_server.domain.accounts import AccountLimits
from cognitora_server.domain.budgets import admit
from cognitora_server.domain.containers import Container, ContainerFilter
from cognitora_server.domain.executions import Execution
from cognitora_server.domain.pages import Listing, Page

from .accounts import standing
from .database import Database
from .executions import insert_execution
from .idempotency import made_by
from .rows import UNENDED, container_of, container_size, container_values
from .tables import containers

_NEXT = select(func.coalesce(func.max(containers.c.sequence), 0) + 1).scalar_subquery()


class ContainerStore:
    """Remembers containers. Nothing changes a container that has ended."""

    def __init__(self, database: Database) -> None:
        self._database = database
        #: Secrets of containers that have ended may still be in the database's log.
        self.log_holds_secrets = True

    async def add(
        self,
        container: Container,
        idempotency_key: str | None = None,
        defaults: AccountLimits = AccountLimits(),  # noqa: B008 - frozen
    ) -> Container:
        """Remember a new container if its account may hold it, and in the same transaction that the key's request
        made it. `defaults` are the limits of accounts that have none of their own.

        Return it with its sequence: the order in which containers are added is kept, whatever the clock says.
        Raises BudgetExhausted, AccountLimitReached, ResourcesUnavailable.
        """
        names = [field.name for field in fields(container) if field.name in containers.c]
        values = container_values({name: getattr(container, name) for name in names})
        values |= {"sequence": _NEXT, "size": container_size(container)}
        statement = insert(containers).values(values).returning(containers.c.sequence)

        def work(connection: Any) -> Container:
            stands = standing(connection, container.account_id, defaults, container.created_at)
            admit(stands, container.resources, container.prices)
            sequence = connection.execute(statement).scalar_one()
            if idempotency_key is not None:
                connection.execute(made_by(container.account_id, idempotency_key, container.id))
            return replace(container, sequence=sequence)

        return await self._database.write(work)

    async def change(self, container_id: str, execution: Execution | None = None, **changes: Any) -> Container | None:
        """Change fields of a container that has not ended, and return it; None if it has ended or never was.

        `execution` is remembered in the same transaction.
        """
        values = container_values(changes)
        ends = "status" in changes and changes["status"] not in UNENDED
        if ends:
            values["secrets"] = None  # nothing runs any more that needs them
        statement = (
            update(containers)
            .where(containers.c.id == container_id, containers.c.status.in_(UNENDED))
            .values(values)
            .returning(*containers.c)
        )

        def work(connection: Any) -> Container | None:
            if ends and connection.execute(_secrets_of(container_id)).scalar_one_or_none() is not None:
                self.log_holds_secrets = True
            row = connection.execute(statement).one_or_none()
            if row is not None and execution is not None:
                insert_execution(connection, execution)
            return container_of(row) if row is not None else None

        return await self._database.write(work)

    async def get(self, container_id: str, account_id: str | None = None) -> Container | None:
        """Return the container, if it is there and the account's (None: any account's)."""
        statement = select(containers).where(containers.c.id == container_id)
        if account_id is not None:
            statement = statement.where(containers.c.account_id == account_id)
        row = await self._database.read(lambda c: c.execute(statement).one_or_none())
        return container_of(row) if row is not None else None

    async def list(self, account_id: str, wanted: ContainerFilter, page: Page) -> Listing[Container]:
        """Return a page of an account's containers, newest first."""
        condition = _condition(account_id, wanted)
        count = select(func.count()).select_from(containers).where(condition)
        rows = (
            select(containers)
            .where(condition)
            .order_by(containers.c.created_at.desc(), containers.c.sequence.desc())
            .limit(page.limit)
            .offset(page.offset)
        )
        total, found = await self._database.read(lambda c: (c.execute(count).scalar_one(), c.execute(rows).all()))
        return Listing(tuple(map(container_of, found)), total)

    async def unfinished(self) -> tuple[Container, ...]:
        """Return every container that has not ended, in the order in which they were added."""
        statement = select(containers).where(containers.c.status.in_(UNENDED)).order_by(containers.c.sequence)
        return tuple(map(container_of, await self._database.read(lambda c: c.execute(statement).all())))


def _secrets_of(container_id: str) -> Select[Any]:
    return select(containers.c.secrets).where(containers.c.id == container_id, containers.c.status.in_(UNENDED))


def _condition(account_id: str, wanted: ContainerFilter) -> ColumnElement[bool]:
    conditions: list[ColumnElement[bool]] = [containers.c.account_id == account_id]
    if wanted.status is not None:
        conditions.append(containers.c.status == wanted.status)
    if wanted.container_type is not None:
        conditions.append(containers.c.container_type == wanted.container_type)
    if wanted.name is not None:
        conditions.append(containers.c.name == wanted.name)
    conditions += [containers.c.metadata[key].as_string() == value for key, value in wanted.metadata.items()]
    return and_(*conditions)
