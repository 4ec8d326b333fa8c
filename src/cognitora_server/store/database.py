"""One connection, one thread, grouped commits.

SQLite wants one writer, and versions before 3.51.3 can damage their log when several connections checkpoint; so
everything goes through one connection on one thread. Work that is waiting is done together in one transaction,
each piece in a savepoint of its own, which makes many small durable writes cheap.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, cast

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.pool import StaticPool

Result = TypeVar("Result")

_GROUP_SIZE = 128
_BUSY_MILLISECONDS = 10_000
#: Free pages are kept for what comes next, up to this share of the file; the rest goes back to the disk, in pieces.
_FREE_SHARE, _FREE_PAGES, _PIECE_PAGES = 10, 4_096, 1_000


@dataclass(frozen=True, slots=True)
class _Work:
    function: Callable[[Connection], Any]
    writes: bool
    outside: bool  # of any transaction: after the group's
    future: Future[Any]
    asked: float = field(default_factory=time.perf_counter)


class Database:
    """Runs functions on the database's one connection, in order of arrival."""

    def __init__(self, url: str, *, checkpoints: bool = True) -> None:
        """Open `url`. Only the server checkpoints; other processes pass `checkpoints=False`."""
        self.url = url
        #: Told of each piece of work, on the database's thread: whether it writes, and the seconds it took in all.
        self.on_done: Callable[[bool, float], None] = lambda writes, seconds: None
        self._engine = _create_engine(url, checkpoints)
        self._queue: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="store", daemon=True)
        self._thread.start()

    async def read(self, function: Callable[[Connection], Result]) -> Result:
        """Return what `function` returns; it must only read."""
        return await self._submit(function, writes=False)

    async def write(self, function: Callable[[Connection], Result]) -> Result:
        """Return what `function` returns, once it is durable. What it raises undoes what it did."""
        return await self._submit(function, writes=True)

    async def empty_log(self) -> bool:
        """Bring all that is committed into the database's file and empty its log; False if somebody reads there."""
        return await self._submit(_empty_log, writes=False, outside=True)

    async def give_back_space(self) -> bool:
        """Give a piece of the file's free space back to the disk; False if there is little."""
        return await self._submit(_give_back_space, writes=False, outside=True)

    async def _submit(self, function: Callable[[Connection], Result], *, writes: bool, outside: bool = False) -> Result:
        future: Future[Any] = Future()
        self._queue.put(_Work(function, writes, outside, future))
        # Shielded: a caller that goes away does not undo what it asked for.
        return cast(Result, await asyncio.shield(asyncio.wrap_future(future)))

    @property
    def waiting(self) -> int:
        """How many pieces of work wait."""
        return self._queue.qsize()

    def close(self) -> None:
        """Finish what is waiting, then close. Idempotent."""
        self._queue.put(None)
        self._thread.join()
        self._engine.dispose()

    def _serve(self) -> None:
        while (first := self._queue.get()) is not None:
            group = [first, *self._waiting()]
            self._run(group)

    def _waiting(self) -> list[_Work]:
        found: list[_Work] = []
        while len(found) < _GROUP_SIZE and not self._queue.empty():
            work = self._queue.get()
            if work is None:
                self._queue.put(None)
                break
            found.append(work)
        return found

    def _run(self, group: list[_Work]) -> None:
        outcomes: list[tuple[_Work, Any, BaseException | None]] = []
        try:
            with self._engine.connect() as opened:
                connection = opened.execution_options(cognitora_writes=any(w.writes for w in group))
                with connection.begin():
                    outcomes = [_do(connection, work) for work in group if not work.outside]
                outcomes += [_do(connection, work) for work in group if work.outside]
        except BaseException as error:  # the commit itself failed: nobody's work was kept
            outcomes = [(work, None, error) for work in group]
        done = time.perf_counter()
        for work, value, problem in outcomes:
            self.on_done(work.writes, done - work.asked)
            if problem is not None:
                work.future.set_exception(problem)
            else:
                work.future.set_result(value)


def _do(connection: Connection, work: _Work) -> tuple[_Work, Any, BaseException | None]:
    try:
        if not work.writes:
            return work, work.function(connection), None
        with connection.begin_nested():
            return work, work.function(connection), None
    except Exception as error:
        if work.writes and not getattr(connection.connection.dbapi_connection, "in_transaction", True):
            raise  # SQLite undid the whole transaction (a full disk): nobody's work was kept
        return work, None, error


def _empty_log(connection: Connection) -> bool:
    raw: Any = connection.connection.driver_connection
    if not hasattr(raw, "set_authorizer"):
        return True  # only SQLite leaves what was deleted in its log
    raw.execute("PRAGMA busy_timeout = 0")  # nobody is waited for: this thread does everything
    try:
        return bool(raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0)
    finally:
        raw.execute(f"PRAGMA busy_timeout = {_BUSY_MILLISECONDS}")


def _give_back_space(connection: Connection) -> bool:
    raw: Any = connection.connection.driver_connection
    if not hasattr(raw, "set_authorizer"):
        return False

    def pages(name: str) -> int:
        return int(raw.execute(f"PRAGMA {name}").fetchone()[0])

    free = pages("freelist_count")
    if free <= max(_FREE_PAGES, pages("page_count") // _FREE_SHARE):
        return False
    # As a script, which Python carries to its end; of a statement without rows it does one step, which is one page.
    raw.executescript(f"PRAGMA incremental_vacuum({_PIECE_PAGES})")
    return pages("freelist_count") < free


def sqlite_url(data_dir: Path) -> str:
    """Return the URL of the default database of a data directory."""
    return f"sqlite:///{data_dir / 'cognitora.db'}"


def _create_engine(url: str, checkpoints: bool) -> Engine:
    if not make_url(url).get_backend_name().startswith("sqlite"):
        return create_engine(url, pool_size=1, max_overflow=0, hide_parameters=True)
    engine = create_engine(url, poolclass=StaticPool, connect_args={"check_same_thread": False}, hide_parameters=True)

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves: savepoints need it
        for pragma in (
            f"busy_timeout = {_BUSY_MILLISECONDS}",
            "journal_mode = WAL",
            "synchronous = FULL",
            "foreign_keys = ON",
            "temp_store = MEMORY",
            "secure_delete = ON",  # a secret that is erased must not stay in a free page
            f"wal_autocheckpoint = {1000 if checkpoints else 0}",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("cognitora_writes", True)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine
