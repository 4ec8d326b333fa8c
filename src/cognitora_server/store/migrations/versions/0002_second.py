"""Activity, idle timeout and secrets of containers."""

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


def downgrade() -> None:
    """Undo."""
    with op.batch_alter_table("containers", schema=None) as batch_op:
        batch_op.drop_column("activity")
        batch_op.drop_column("active_at")
        batch_op.drop_column("idle_timeout_seconds")
        batch_op.drop_column("secrets")
