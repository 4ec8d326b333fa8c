"""Activity, idle timeout and secrets of containers; the order of acceptance; what a claimed key has made."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


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


def _number_containers() -> None:
    containers = sa.table("containers", sa.column("id"), sa.column("created_at"), sa.column("sequence"))
    oldest_first = sa.select(containers.c.id).order_by(containers.c.created_at, containers.c.id)
    for number, (container_id,) in enumerate(op.get_bind().execute(oldest_first).all(), start=1):
        op.execute(sa.update(containers).where(containers.c.id == container_id).values(sequence=number))


def downgrade() -> None:
    """Undo."""
    with op.batch_alter_table("idempotency", schema=None) as batch_op:
        batch_op.drop_index("idempotency_by_resource")
        batch_op.drop_column("resource_id")

    with op.batch_alter_table("containers", schema=None) as batch_op:
        batch_op.drop_index("containers_by_sequence")
        batch_op.drop_column("sequence")
        batch_op.drop_column("activity")
        batch_op.drop_column("active_at")
        batch_op.drop_column("idle_timeout_seconds")
        batch_op.drop_column("secrets")
