"""Grades by outcome in the order of the items, so that a page of those that failed is read without the others."""

from __future__ import annotations

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # In the place of one by score, which summaries do not read since blocks of items are summed up: one more would cost
    # every grade that is written.
    op.drop_index("grade_summary", "grade")
    op.create_index("grade_outcome", "grade", ["tenant", "run", "criterion", "outcome", "seq", "revision", "score"])
