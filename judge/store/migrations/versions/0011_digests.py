"""What blocks of items came to, and indexes for what is asked of large runs and of many."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

BELOW, OWN_RUBRIC = sa.text("lowest < 0"), sa.text("rubric_hash IS NOT NULL")
REOPENED = sa.text("state = 'open' AND revision > 0")
COUNTED = ["usable", "possible_duplicate", "prompt_tokens", "completion_tokens", "cost_usd"]


def upgrade() -> None:
    op.create_table(
        "digest",
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("run", sa.String(length=32), nullable=False),
        sa.Column("block", sa.Integer(), nullable=False),
        sa.Column("finished", sa.Integer(), nullable=False),
        sa.Column("held", sa.Integer(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "run", "block"),
    )
    below = ["tenant", "run", "state", "lowest"]
    op.create_index("run_item_below", "run_item", below, sqlite_where=BELOW, postgresql_where=BELOW)
    op.create_index("run_item_own", "run_item", ["tenant", "run"], sqlite_where=OWN_RUBRIC, postgresql_where=OWN_RUBRIC)
    op.create_index(
        "run_item_reopened", "run_item", ["tenant", "run"], sqlite_where=REOPENED, postgresql_where=REOPENED
    )
    op.drop_index("submission_state", "submission")
    op.create_index("submission_state", "submission", ["state", "tenant", "at"])
    op.drop_index("call_run", "call")
    op.create_index("call_run", "call", ["tenant", "run", "state", *COUNTED])
