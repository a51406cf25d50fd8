"""Levels beside scores, the lowest overall of an item, re-scored runs, budgets, cached tokens."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("grade", sa.Column("level", sa.Text(), nullable=True))
    op.add_column("run_item", sa.Column("lowest", sa.Double(), nullable=False, server_default="0"))
    op.add_column("run", sa.Column("rescored_from", sa.String(length=32), nullable=True))
    op.add_column("run", sa.Column("committed_usd", sa.Double(), nullable=True))
    op.add_column("call", sa.Column("cached_tokens", sa.Integer(), nullable=True))
