"""Accounts in the store: their limits, what they hold, and what they have spent."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import and_, func, select, update

from cognitora_server.domain.accounts import Account, AccountLimits
from cognitora_server.domain.budgets import Month, Standing
from cognitora_server.domain.errors import NotFound

from .database import Database
from .rows import UNENDED
from .tables import accounts, containers, usage


class AccountStore:
    """Remembers what accounts may do. Keys make accounts; see KeyStore."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list(self) -> tuple[Account, ...]:
        """Return all accounts, oldest first."""
        statement = select(accounts).order_by(accounts.c.created_at, accounts.c.id)
        return tuple(Account(**row._mapping) for row in await self._database.read(lambda c: c.execute(statement).all()))

    async def set_limits(self, name: str, changes: Mapping[str, float | None], forget: Collection[str]) -> Account:
        """Change an account's own limits; those to `forget` are the server's again. Raises NotFound."""

        def work(connection: Any) -> Account:
            row = connection.execute(select(accounts).where(accounts.c.name == name)).one_or_none()
            if row is None:
                raise NotFound(
                    f"There is no account {name!r}. 'cognitora accounts list' shows them; 'cognitora keys create KEY "
                    f"--account {name}' makes it."
                )
            limits = {limit: value for limit, value in {**row.limits, **changes}.items() if limit not in forget}
            changed = update(accounts).where(accounts.c.id == row.id).values(limits=limits).returning(*accounts.c)
            return Account(**connection.execute(changed).one()._mapping)

        return await self._database.write(work)

    async def standing(self, account_id: str, defaults: AccountLimits, now: datetime) -> Standing:
        """Return how an account stands; `defaults` are the limits of accounts that have none of their own."""
        return await self._database.read(lambda c: standing(c, account_id, defaults, now))

    async def budgets(
        self, account_ids: Collection[str], defaults: AccountLimits, month: Month
    ) -> tuple[tuple[Account, float, int], ...]:
        """Return those of these accounts that have a budget, with it (credits), and what they have spent in a month
        (millionths of a credit)."""

        def work(connection: Any) -> tuple[tuple[Account, float, int], ...]:
            rows = connection.execute(select(accounts).where(accounts.c.id.in_(account_ids))).all()
            found = [Account(**row._mapping) for row in rows]
            budgets = [(one, one.limits_within(defaults).budget_credits) for one in found]
            return tuple((one, limit, _spent(connection, one.id, month)) for one, limit in budgets if limit is not None)

        return await self._database.read(work)


def standing(connection: Any, account_id: str, defaults: AccountLimits, now: datetime) -> Standing:
    """Return how an account stands, within a transaction."""
    account = Account(**connection.execute(select(accounts).where(accounts.c.id == account_id)).one()._mapping)
    cores, memory = (containers.c.resources[name].as_float() for name in ("cpu_cores", "memory_mb"))
    held = select(func.count(), func.coalesce(func.sum(cores), 0.0), func.coalesce(func.sum(memory), 0.0))
    mine = and_(containers.c.account_id == account_id, containers.c.status.in_(UNENDED))
    count, cpu_cores, memory_mb = connection.execute(held.where(mine)).one()
    month = Month.of(now)
    limits, spent = account.limits_within(defaults), _spent(connection, account_id, month)
    return Standing(account, limits, month, count, float(cpu_cores), int(memory_mb), spent)


def _spent(connection: Any, account_id: str, month: Month) -> int:
    within = and_(usage.c.account_id == account_id, usage.c.day >= month.first, usage.c.day < month.next)
    return int(connection.execute(select(func.coalesce(func.sum(usage.c.micro), 0)).where(within)).scalar_one())
