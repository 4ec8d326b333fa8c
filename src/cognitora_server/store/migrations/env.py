"""Alembic's entry: runs migrations on one connection."""

from __future__ import annotations

from alembic import context
from sqlalchemy import create_engine

from cognitora_server.store.tables import metadata

url = context.config.get_main_option("sqlalchemy.url")
if url is None:
    raise SystemExit("No database is named: run migrations through 'cognitora serve'.")

engine = create_engine(url)
with engine.begin() as connection:
    context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
    with context.begin_transaction():
        context.run_migrations()
engine.dispose()
