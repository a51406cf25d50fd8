"""In which order the items of a run ended, for whoever follows it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("run", sa.Column("endings", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("run_item", sa.Column("ending", sa.Integer(), nullable=True))
    # Of what ended before, nobody knows the order any more: it is taken to be that of the items.
    op.execute("UPDATE run_item SET ending = seq + 1 WHERE state <> 'open'")
    op.execute("UPDATE run SET endings = items")
    op.create_index("run_item_ending", "run_item", ["tenant", "run", "ending"])
