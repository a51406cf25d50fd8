"""Budgets of keys and tenants, and which key a call is paid by."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "budget",
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("scope", sa.String(length=16), nullable=False),
        sa.Column("period", sa.String(length=8), nullable=False),
        sa.Column("limit_usd", sa.Double(), nullable=False),
        sa.Column("committed_usd", sa.Double(), nullable=True),
        sa.Column("month", sa.String(length=7), nullable=True),
        sa.Column("at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "scope", "period"),
    )
    op.add_column("call", sa.Column("paid_by", sa.String(length=12), nullable=True))
    in_flight = sa.text("state = 'sent'")
    op.create_index("call_in_flight", "call", ["tenant", "owner"], sqlite_where=in_flight, postgresql_where=in_flight)
