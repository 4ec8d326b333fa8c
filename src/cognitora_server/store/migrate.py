"""Brings a database's schema up to date, with Alembic."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, make_url

from cognitora_server.domain.errors import CognitoraError

MIGRATIONS = Path(__file__).parent / "migrations"


class DatabaseTooNew(CognitoraError):
    """The database was written by a newer version of this program. Use that version, or another data directory."""

    code = "database_too_new"


def config(url: str) -> Config:
    """Return Alembic's configuration for the database at `url`."""
    settings = Config()
    settings.set_main_option("script_location", str(MIGRATIONS))
    settings.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    return settings


def upgrade(url: str) -> None:
    """Apply the migrations that the database lacks. Does nothing, quickly, when there are none.

    Raises DatabaseTooNew.
    """
    with _alone(url):
        _keep_private(url)
        _upgrade(url)


def _upgrade(url: str) -> None:
    settings = config(url)
    scripts = ScriptDirectory.from_config(settings)
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            current = MigrationContext.configure(connection).get_current_revision()
    finally:
        engine.dispose()
    if current == scripts.get_current_head():
        return
    if current is not None and current not in {script.revision for script in scripts.walk_revisions()}:
        raise DatabaseTooNew
    command.upgrade(settings, "head")
    _let_it_shrink(url)


def _keep_private(url: str) -> None:
    """Let nobody but the owner read the file; SQLite's log gets the same mode."""
    if (file := _file_of(url)) is not None:
        os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        file.chmod(0o600)


def _let_it_shrink(url: str) -> None:
    """Let free space be given back to the disk in pieces; SQLite arranges for that by writing the file anew, once."""
    if (file := _file_of(url)) is not None:
        with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as connection:
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            connection.execute("VACUUM")


def _file_of(url: str) -> Path | None:
    file = make_url(url).database
    return Path(file) if url.startswith("sqlite") and file else None


@contextmanager
def _alone(url: str) -> Iterator[None]:
    """Keep other processes on this machine from migrating the same SQLite file at the same time."""
    file = _file_of(url)
    if file is None:
        yield
        return
    with Path(f"{file}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
