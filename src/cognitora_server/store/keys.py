"""Accounts and API keys in the store."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Select, insert, select, update

from cognitora_server.domain.accounts import Account, ApiKey, Authenticated, hash_secret, new_secret
from cognitora_server.domain.audit import Actor, AuditEntry
from cognitora_server.domain.errors import Conflict, NotFound
from cognitora_server.domain.ids import ACCOUNT, AUDIT, KEY, new_id

from .audit import audit_insert
from .database import Database
from .tables import accounts, api_keys

_HINT_LENGTH = 8


class KeyStore:
    """Remembers accounts, and keys as hashes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def account_id(self, which: str) -> str:
        """Return the id of the account with this name or id. Raises NotFound."""
        statement = select(accounts.c.id).where((accounts.c.name == which) | (accounts.c.id == which))
        found = await self._database.read(lambda c: c.execute(statement).scalars().first())
        if found is None:
            raise NotFound(f"There is no account {which!r}.")
        return str(found)

    async def create(self, name: str, account_name: str, now: datetime, user: str = "") -> tuple[ApiKey, str]:
        """Make a key of an account (which is made too if it is new); return it with its secret, shown only now.

        The audit log says that it was done, by `user` of this host.

        Raises Conflict when the account has an unrevoked key of that name.
        """
        secret = new_secret()

        def work(connection: Any) -> ApiKey:
            account_id = _account_id(connection, account_name, now)
            taken = select(api_keys.c.id).where(
                api_keys.c.account_id == account_id, api_keys.c.name == name, api_keys.c.revoked_at.is_(None)
            )
            if connection.execute(taken).first() is not None:
                raise Conflict(f"There is a key named {name!r} already. Revoke it first, or choose another name.")
            key = ApiKey(new_id(KEY), account_id, account_name, name, secret[:_HINT_LENGTH], now)
            values = {column: getattr(key, column) for column in ("id", "account_id", "name", "hint", "created_at")}
            connection.execute(insert(api_keys).values(hash=hash_secret(secret), **values))
            connection.execute(audit_insert(_audit("key.create", key, now, user)))
            return key

        return await self._database.write(work), secret

    async def list(self) -> tuple[ApiKey, ...]:
        """Return all keys, oldest first, revoked ones too."""
        rows = await self._database.read(lambda c: c.execute(_keys().order_by(api_keys.c.created_at)).all())
        return tuple(ApiKey(**row._mapping) for row in rows)

    async def revoke(self, which: str, now: datetime, user: str = "") -> ApiKey:
        """Revoke the key with this id or name, at once. Raises NotFound; revoking twice is no error.

        The audit log says that it was done, by `user` of this host.
        """

        def work(connection: Any) -> ApiKey:
            named = (api_keys.c.id == which) | ((api_keys.c.name == which) & api_keys.c.revoked_at.is_(None))
            rows = connection.execute(_keys().where(named)).all()
            if not rows:
                raise NotFound(f"There is no key {which!r}. 'cognitora keys list' shows them.")
            if len(rows) > 1:
                raise Conflict(f"Several accounts have a key named {which!r}; revoke it by its id.")
            found = ApiKey(**rows[0]._mapping)
            statement = update(api_keys).where(api_keys.c.id == found.id, api_keys.c.revoked_at.is_(None))
            connection.execute(statement.values(revoked_at=now))
            connection.execute(audit_insert(_audit("key.revoke", found, now, user)))
            return found

        return await self._database.write(work)

    async def authenticate(self, secret: str) -> Authenticated | None:
        """Return which unrevoked key this is, and the account that it opens."""
        statement = (
            select(*accounts.c, api_keys.c.id.label("key_id"), api_keys.c.name.label("key_name"))
            .join(api_keys, api_keys.c.account_id == accounts.c.id)
            .where(api_keys.c.hash == hash_secret(secret), api_keys.c.revoked_at.is_(None))
        )
        row = await self._database.read(lambda c: c.execute(statement).one_or_none())
        if row is None:
            return None
        fields = dict(row._mapping)
        key_id, key_name = fields.pop("key_id"), fields.pop("key_name")
        return Authenticated(Account(**fields), key_id, key_name)


def _audit(action: str, key: ApiKey, now: datetime, user: str) -> AuditEntry:
    details = {"user": user} if user else {}
    return AuditEntry(new_id(AUDIT), now, Actor.CLI, action, key.account_id, key.id, key.name, details=details)


def _keys() -> Select[Any]:
    columns = [column for column in api_keys.c if column.name != "hash"]
    return select(*columns, accounts.c.name.label("account_name")).join(accounts)


def _account_id(connection: Any, name: str, now: datetime) -> str:
    found = connection.execute(select(accounts.c.id).where(accounts.c.name == name)).scalar_one_or_none()
    if found is not None:
        return str(found)
    account_id = new_id(ACCOUNT)
    connection.execute(insert(accounts).values(id=account_id, name=name, created_at=now))
    return account_id
