"""The lease of a pending report: until when a process vouches that it is still making it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the column; no process makes the reports that are pending now after this upgrade."""
    op.add_column("report", sa.Column("leased_ms", sa.BigInteger(), nullable=False, server_default="0"))
