"""Several workers: the pace that they keep together; on PostgreSQL marks of commits, and a queue of chunks of runs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from judge.errors import StoreError

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "pace",
        sa.Column("of", sa.String(length=80), nullable=False),
        sa.Column("due", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("of"),
    )
    op.create_table(
        "mark",
        sa.Column("of", sa.String(length=256), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("of"),
    )
    connection = op.get_bind()
    if connection.dialect.name == "postgresql":
        # Many statements, with percent signs: SQLAlchemy would look for parameters in them.
        connection.connection.cursor().execute(_queue())


def _queue() -> str:
    """The queue's own tables, types and functions."""
    try:
        from procrastinate.schema import SchemaManager  # noqa: PLC0415 - an extra, and slow to import
    except ImportError:
        raise StoreError("PostgreSQL needs procrastinate; install this project with its extra: postgres") from None
    return str(SchemaManager.get_schema())
