"""Which runs graded anchors for a check of a calibration."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("run", sa.Column("anchors_of", sa.String(length=32), nullable=True))
