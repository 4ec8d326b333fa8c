"""The tables. Times are microseconds since 1970 (UTC), nested values are JSON."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Date,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
)

metadata = MetaData()

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class UtcTime(TypeDecorator[datetime]):
    """A time with its zone, kept as a number that sorts."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """Turn a time into microseconds."""
        return None if value is None else (value - _EPOCH) // _MICROSECOND

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """Turn microseconds into a time in UTC."""
        return None if value is None else _EPOCH + value * _MICROSECOND


accounts = Table(
    "accounts",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("name", String(128), nullable=False, unique=True),
    Column("created_at", UtcTime, nullable=False),
    Column("limits", JSON, nullable=False, default=dict),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("account_id", ForeignKey("accounts.id"), nullable=False),
    Column("name", String(128), nullable=False),
    Column("hash", String(64), nullable=False, unique=True),
    Column("hint", String(16), nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("revoked_at", UtcTime),
)

containers = Table(
    "containers",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("account_id", ForeignKey("accounts.id"), nullable=False),
    Column("image", Text, nullable=False),
    Column("command", JSON),
    Column("persistent", Boolean, nullable=False),
    Column("container_type", String(16), nullable=False),
    Column("resources", JSON, nullable=False),
    Column("environment", JSON, nullable=False),
    Column("networking", Boolean, nullable=False),
    Column("port_mapping", JSON),
    Column("max_cost_credits", Float, nullable=False),
    Column("timeout_seconds", Integer, nullable=False),
    Column("expires_at", UtcTime, nullable=False),
    Column("expires_fixed", Boolean, nullable=False),
    Column("isolation_requested", String(16), nullable=False),
    Column("name", String(128)),
    Column("metadata", JSON, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
    Column("wanted_end", JSON),
    Column("status", String(16), nullable=False),
    Column("end", JSON),
    Column("isolation", String(16)),
    Column("image_id", String(80)),
    Column("image_notice", Text),
    Column("progress", Text),
    Column("handle", JSON),
    Column("started_at", UtcTime),
    Column("completed_at", UtcTime),
    Column("usage", JSON, nullable=False),
    Column("secrets", JSON(none_as_null=True)),
    Column("idle_timeout_seconds", Integer),
    Column("active_at", UtcTime),
    Column("activity", JSON(none_as_null=True)),
    Column("sequence", BigInteger, nullable=False),
    Column("prices", JSON, nullable=False),
    Column("meter", JSON, nullable=False),
    Column("expires_held", BigInteger),
    Column("budget_warned_at", UtcTime),
    Column("size", BigInteger, nullable=False),
    Index("containers_by_account", "account_id", "created_at"),
    Index("containers_by_sequence", "sequence", unique=True),
    Index("containers_by_status", "status"),
    Index("containers_by_end", "completed_at"),
)

#: What was used, by container and day (UTC). It outlives the containers.
usage = Table(
    "usage",
    metadata,
    Column("container_id", String(32), primary_key=True),
    Column("day", Date, primary_key=True),
    Column("account_id", String(32), nullable=False),
    Column("image", Text, nullable=False),
    Column("seconds", BigInteger, nullable=False),
    Column("micro", BigInteger, nullable=False),
    Index("usage_by_account", "account_id", "day", "micro"),
)

executions = Table(
    "executions",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("container_id", ForeignKey("containers.id"), nullable=False),
    Column("account_id", String(32), nullable=False),
    Column("image", Text, nullable=False),
    Column("command", JSON, nullable=False),
    Column("main", Boolean, nullable=False),
    Column("networking", Boolean, nullable=False),
    Column("status", String(16), nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("language", String(32)),
    Column("working_directory", Text),
    Column("timeout_seconds", Float),
    Column("files_uploaded", Integer, nullable=False),
    Column("started_at", UtcTime),
    Column("completed_at", UtcTime),
    Column("exit_code", Integer),
    Column("error_message", Text),
    Column("preview", LargeBinary),
    Column("omitted_bytes", BigInteger, nullable=False),
    Column("size", BigInteger, nullable=False),
    Index("executions_by_account", "account_id", "created_at"),
    Index("executions_by_container", "container_id", "created_at"),
    Index("executions_by_status", "status"),
    Index("executions_by_end", "container_id", "main", "completed_at", "size", "id"),
)

#: Outputs that are longer than what lists show of them; see `outputs.py`.
outputs = Table(
    "outputs",
    metadata,
    Column("execution_id", ForeignKey("executions.id"), primary_key=True),
    Column("content", LargeBinary, nullable=False),
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("account_id", String(32), primary_key=True),
    Column("key", String(255), primary_key=True),
    Column("fingerprint", String(64), nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("status", Integer),
    Column("body", LargeBinary),
    Column("resource_id", String(32)),
    Index("idempotency_by_age", "created_at"),
    Index("idempotency_by_resource", "resource_id"),
)

audit = Table(
    "audit",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("at", UtcTime, nullable=False),
    Column("actor", String(16), nullable=False),
    Column("action", String(64), nullable=False),
    Column("account_id", String(32)),
    Column("key_id", String(32)),
    Column("key_name", String(128)),
    Column("request_id", String(128)),
    Column("remote_address", String(64)),
    Column("container_id", String(32)),
    Column("execution_id", String(32)),
    Column("status", Integer),
    Column("details", JSON, nullable=False),
    Index("audit_by_account", "account_id", "at"),
    Index("audit_by_age", "at"),
)
