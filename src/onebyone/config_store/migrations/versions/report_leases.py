"""Until when a pending report is being made by a living process."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Adds the column; what is pending now is made by nobody after this upgrade."""
    op.add_column("report", sa.Column("leased_ms", sa.BigInteger(), nullable=False, server_default="0"))
