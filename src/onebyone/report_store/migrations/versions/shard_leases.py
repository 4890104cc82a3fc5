"""The counters that run, and which of them owns each shard."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Create the table and the column."""
    op.create_table(
        "counters",
        sa.Column("counter", sa.String(length=16), nullable=False),
        sa.Column("beat", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("beat_at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("leaving", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("counter", name=op.f("pk_counters")),
    )
    op.add_column("positions", sa.Column("owner", sa.String(length=16), nullable=False, server_default=""))
