"""Batches: calls that are handed to the provider together, and answers that it was told to keep."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "batch",
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("run", sa.String(length=32), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("provider_id", sa.String(length=256), nullable=True),
        sa.Column("requests", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("ended_at", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("tenant", "id"),
    )
    op.create_index("batch_run", "batch", ["tenant", "run", "state"])
    op.add_column("call", sa.Column("batch", sa.String(length=32), nullable=True))
    op.add_column("call", sa.Column("unread", sa.Boolean(), nullable=True))
    op.add_column("call", sa.Column("kept", sa.Boolean(), nullable=True))
