"""Activity, idle timeout, secrets; order of acceptance; what a claimed key has made; metering; audit."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from alembic import op

from cognitora_server.domain.executions import Output
from cognitora_server.store.outputs import pack_now, unpack_now

revision = "0002"
down_revision = "0001"

_PRICES = '{"cpu_core_hour": 2.0, "memory_gib_hour": 0.5, "storage_gib_hour": 0.01, "gpu_hour": 100.0}'
_METER = '{"held": 0, "boot": null, "at": 0}'
_ENDED = ("COMPLETED", "FAILED", "CANCELLED", "TERMINATED", "TIMEOUT")

_CONTAINERS = sa.table(
    "containers",
    *(sa.column(name, sa.Text()) for name in ("id", "account_id", "image", "status")),
    *(sa.column(name, sa.BigInteger()) for name in ("started_at", "completed_at", "expires_at", "expires_held")),
    sa.column("expires_fixed", sa.Boolean()),
    sa.column("max_cost_credits", sa.Float()),
    *(sa.column(name, sa.JSON()) for name in ("resources", "meter")),
)
_EXECUTIONS = sa.table(
    "executions",
    *(sa.column(name, sa.Text()) for name in ("id", "combined", "stdout", "stderr")),
    sa.column("preview", sa.LargeBinary()),
    sa.column("size", sa.BigInteger()),
)
_OUTPUTS = sa.table("outputs", sa.column("execution_id", sa.Text()), sa.column("content", sa.LargeBinary()))
_USAGE = sa.table(
    "usage",
    *(sa.column(name, sa.Text()) for name in ("container_id", "account_id", "image")),
    sa.column("day", sa.Date()),
    *(sa.column(name, sa.BigInteger()) for name in ("seconds", "micro")),
)


def upgrade() -> None:
    """Apply."""
    with op.batch_alter_table("containers", schema=None) as batch_op:
        batch_op.add_column(sa.Column("secrets", sa.JSON(), nullable=True))
        batch_op.add_column(sa.Column("idle_timeout_seconds", sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column("active_at", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("activity", sa.JSON(), nullable=True))
        batch_op.add_column(sa.Column("sequence", sa.BigInteger(), nullable=False, server_default="0"))
    _number_containers()
    with op.batch_alter_table("containers", schema=None) as batch_op:
        batch_op.create_index("containers_by_sequence", ["sequence"], unique=True)

    with op.batch_alter_table("idempotency", schema=None) as batch_op:
        batch_op.add_column(sa.Column("resource_id", sa.String(length=32), nullable=True))
        batch_op.create_index("idempotency_by_resource", ["resource_id"], unique=False)
    _add_metering()
    _create_audit()
    _pack_outputs()


def _pack_outputs() -> None:
    with op.batch_alter_table("containers", schema=None) as batch_op:
        batch_op.add_column(sa.Column("size", sa.BigInteger(), nullable=False, server_default="3000"))
        batch_op.create_index("containers_by_end", ["completed_at"])
    with op.batch_alter_table("executions", schema=None) as batch_op:
        batch_op.add_column(sa.Column("preview", sa.LargeBinary(), nullable=True))
        batch_op.add_column(sa.Column("size", sa.BigInteger(), nullable=False, server_default="1000"))
    op.create_table(
        "outputs",
        sa.Column("execution_id", sa.String(length=32), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["execution_id"], ["executions.id"]),
        sa.PrimaryKeyConstraint("execution_id"),
    )
    connection = op.get_bind()
    for execution_id in connection.execute(sa.select(_EXECUTIONS.c.id)).scalars().all():
        row = connection.execute(sa.select(_EXECUTIONS).where(_EXECUTIONS.c.id == execution_id)).one()
        packed = pack_now(Output(row.combined, row.stdout, row.stderr))
        values = {"preview": packed.preview, "size": 1000 + packed.size}
        connection.execute(sa.update(_EXECUTIONS).where(_EXECUTIONS.c.id == execution_id).values(values))
        if packed.content is not None:
            connection.execute(sa.insert(_OUTPUTS).values(execution_id=execution_id, content=packed.content))
    with op.batch_alter_table("executions", schema=None) as batch_op:
        for name in ("combined", "stdout", "stderr"):
            batch_op.drop_column(name)
        batch_op.create_index("executions_by_end", ["container_id", "main", "completed_at", "size", "id"])


def _unpack_outputs() -> None:
    with op.batch_alter_table("executions", schema=None) as batch_op:
        for name in ("combined", "stdout", "stderr"):
            batch_op.add_column(sa.Column(name, sa.Text(), nullable=False, server_default=""))
    connection = op.get_bind()
    kept = sa.select(_EXECUTIONS.c.id, _EXECUTIONS.c.preview, _OUTPUTS.c.content).outerjoin(
        _OUTPUTS, _OUTPUTS.c.execution_id == _EXECUTIONS.c.id
    )
    for execution_id in connection.execute(sa.select(_EXECUTIONS.c.id)).scalars().all():
        row = connection.execute(kept.where(_EXECUTIONS.c.id == execution_id)).one()
        output = unpack_now(row.content or row.preview, 0)
        values = {"combined": output.combined, "stdout": output.stdout, "stderr": output.stderr}
        connection.execute(sa.update(_EXECUTIONS).where(_EXECUTIONS.c.id == execution_id).values(values))
    op.drop_table("outputs")
    with op.batch_alter_table("executions", schema=None) as batch_op:
        batch_op.drop_index("executions_by_end")
        batch_op.drop_column("size")
        batch_op.drop_column("preview")
    with op.batch_alter_table("containers", schema=None) as batch_op:
        batch_op.drop_index("containers_by_end")
        batch_op.drop_column("size")


def _number_containers() -> None:
    containers = sa.table("containers", sa.column("id"), sa.column("created_at"), sa.column("sequence"))
    oldest_first = sa.select(containers.c.id).order_by(containers.c.created_at, containers.c.id)
    for number, (container_id,) in enumerate(op.get_bind().execute(oldest_first).all(), start=1):
        op.execute(sa.update(containers).where(containers.c.id == container_id).values(sequence=number))


def _add_metering() -> None:
    with op.batch_alter_table("containers", schema=None) as batch_op:
        batch_op.add_column(sa.Column("prices", sa.JSON(), nullable=False, server_default=_PRICES))
        batch_op.add_column(sa.Column("meter", sa.JSON(), nullable=False, server_default=_METER))
        batch_op.add_column(sa.Column("expires_held", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("budget_warned_at", sa.BigInteger(), nullable=True))
    with op.batch_alter_table("accounts", schema=None) as batch_op:
        batch_op.add_column(sa.Column("limits", sa.JSON(), nullable=False, server_default="{}"))
    op.create_table(
        "usage",
        sa.Column("container_id", sa.String(length=32), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("account_id", sa.String(length=32), nullable=False),
        sa.Column("image", sa.Text(), nullable=False),
        sa.Column("seconds", sa.BigInteger(), nullable=False),
        sa.Column("micro", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("container_id", "day"),
    )
    op.create_index("usage_by_account", "usage", ["account_id", "day", "micro"])
    _fill_meters()


def _fill_meters() -> None:
    """Meter what ran before there were meters, by the times that were written down and the default prices."""
    connection, now = op.get_bind(), time.time_ns() // 1000
    for row in connection.execute(sa.select(_CONTAINERS).where(_CONTAINERS.c.started_at.is_not(None))).all():
        ended = row.status in _ENDED
        until = row.completed_at if ended and row.completed_at is not None else now
        held = max(0, until - row.started_at)
        # A boot that never was: the next reading goes on from here.
        changes: dict[str, Any] = {"meter": {"held": held, "boot": None if ended else "", "at": 0}}
        if not ended and not row.expires_fixed:
            changes["expires_held"] = held + max(0, row.expires_at - now)
        connection.execute(sa.update(_CONTAINERS).where(_CONTAINERS.c.id == row.id).values(changes))
        seconds = -(-held // 1_000_000)
        if seconds:
            micro = min(round(_cost(row.resources, seconds / 3600) * 1_000_000), int(row.max_cost_credits * 1_000_000))
            values = {"container_id": row.id, "account_id": row.account_id, "image": row.image, "seconds": seconds}
            day = datetime.fromtimestamp(until / 1_000_000, UTC).date()
            connection.execute(sa.insert(_USAGE).values(day=day, micro=micro, **values))


def _cost(resources: dict[str, Any], hours: float) -> float:
    cpu, memory = resources["cpu_cores"] * 2.0 * hours, resources["memory_mb"] / 1024 * 0.5 * hours
    return float(cpu + memory + resources["storage_gb"] * 0.01 * hours + resources["gpu_count"] * 100.0 * hours)


def _create_audit() -> None:
    op.create_table(
        "audit",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.String(length=16), nullable=False),
        sa.Column("action", sa.String(length=64), nullable=False),
        sa.Column("account_id", sa.String(length=32), nullable=True),
        sa.Column("key_id", sa.String(length=32), nullable=True),
        sa.Column("key_name", sa.String(length=128), nullable=True),
        sa.Column("request_id", sa.String(length=128), nullable=True),
        sa.Column("remote_address", sa.String(length=64), nullable=True),
        sa.Column("container_id", sa.String(length=32), nullable=True),
        sa.Column("execution_id", sa.String(length=32), nullable=True),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("audit", schema=None) as batch_op:
        batch_op.create_index("audit_by_account", ["account_id", "at"], unique=False)
        batch_op.create_index("audit_by_age", ["at"], unique=False)


def downgrade() -> None:
    """Undo."""
    _unpack_outputs()
    op.drop_table("audit")
    op.drop_table("usage")
    with op.batch_alter_table("accounts", schema=None) as batch_op:
        batch_op.drop_column("limits")
    with op.batch_alter_table("idempotency", schema=None) as batch_op:
        batch_op.drop_index("idempotency_by_resource")
        batch_op.drop_column("resource_id")

    with op.batch_alter_table("containers", schema=None) as batch_op:
        for name in ("budget_warned_at", "expires_held", "meter", "prices"):
            batch_op.drop_column(name)
        batch_op.drop_index("containers_by_sequence")
        batch_op.drop_column("sequence")
        batch_op.drop_column("activity")
        batch_op.drop_column("active_at")
        batch_op.drop_column("idle_timeout_seconds")
        batch_op.drop_column("secrets")
