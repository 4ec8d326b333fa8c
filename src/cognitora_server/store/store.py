"""The store as one thing: its parts, opened and closed together."""

from __future__ import annotations

from types import TracebackType

from .accounts import AccountStore
from .audit import AuditStore
from .containers import ContainerStore
from .database import Database
from .executions import ExecutionStore
from .history import HistoryStore
from .idempotency import IdempotencyStore
from .keys import KeyStore
from .migrate import upgrade
from .usage import UsageStore


class Store:
    """Everything that is remembered."""

    def __init__(self, url: str, *, checkpoints: bool = True) -> None:
        """Open the database at `url`, bringing its schema up to date. Only the server checkpoints."""
        upgrade(url)
        self.database = Database(url, checkpoints=checkpoints)
        self.containers = ContainerStore(self.database)
        self.executions = ExecutionStore(self.database)
        self.history = HistoryStore(self.database)
        self.audit = AuditStore(self.database)
        self.keys = KeyStore(self.database)
        self.idempotency = IdempotencyStore(self.database)
        self.usage = UsageStore(self.database)
        self.accounts = AccountStore(self.database)

    def close(self) -> None:
        """Finish what is waiting and close. Idempotent."""
        self.database.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()
