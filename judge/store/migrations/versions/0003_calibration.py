"""Labels, sheets, calibrations, and every look at held-out labels; calibrated scores are derived, and not stored."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def _tenant() -> sa.Column[str]:
    return sa.Column("tenant", sa.String(length=64), nullable=False)


def upgrade() -> None:
    for column in ("calibrated", "interval_low", "interval_high", "calibration"):
        op.drop_column("grade", column)
    op.add_column("run", sa.Column("calibration", sa.String(length=32), nullable=True))
    _labels()
    _calibrations()


def _labels() -> None:
    op.create_table(
        "label_set",
        _tenant(),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("asked_hash", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "name"),
    )
    op.create_table(
        "label",
        _tenant(),
        sa.Column("label_set", sa.String(length=128), nullable=False),
        sa.Column("item_id", sa.String(length=256), nullable=False),
        sa.Column("criterion", sa.String(length=64), nullable=False),
        sa.Column("annotator", sa.String(length=256), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("level", sa.Text(), nullable=True),
        sa.Column("value", sa.Double(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("group", sa.String(length=256), nullable=True),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("sheet", sa.String(length=32), nullable=True),
        sa.Column("sampled_from", sa.String(length=32), nullable=True),
        sa.Column("at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "label_set", "item_id", "criterion", "annotator", "revision"),
    )
    op.create_table(
        "sheet",
        _tenant(),
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("run", sa.String(length=32), nullable=False),
        sa.Column("seed", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "id"),
    )
    op.create_table(
        "sheet_item",
        _tenant(),
        sa.Column("sheet", sa.String(length=32), nullable=False),
        sa.Column("item_id", sa.String(length=256), nullable=False),
        sa.Column("stratum", sa.Integer(), nullable=False),
        sa.Column("probability", sa.Double(), nullable=False),
        sa.Column("drawn", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "sheet", "item_id"),
    )


def _calibrations() -> None:
    op.create_table(
        "calibration",
        _tenant(),
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("rubric_hash", sa.String(length=64), nullable=False),
        sa.Column("judge_fingerprint", sa.String(length=64), nullable=False),
        sa.Column("label_set", sa.String(length=128), nullable=False),
        sa.Column("labels_hash", sa.String(length=64), nullable=False),
        sa.Column("seed", sa.Integer(), nullable=False),
        sa.Column("run", sa.String(length=32), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "id"),
        sa.UniqueConstraint("tenant", "name", "version"),
    )
    op.create_table(
        "opening",
        _tenant(),
        sa.Column("label_set", sa.String(length=128), nullable=False),
        sa.Column("seed", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "label_set", "seed", "number"),
    )
    op.create_table(
        "watch",
        _tenant(),
        sa.Column("calibration", sa.String(length=32), nullable=False),
        sa.Column("criterion", sa.String(length=64), nullable=False),
        sa.Column("label", sa.Integer(), nullable=False),
        sa.Column("checks", sa.Integer(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "calibration", "criterion", "label"),
    )
