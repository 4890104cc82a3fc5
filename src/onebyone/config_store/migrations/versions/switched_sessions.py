"""The admin who opened a session to act as its user."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the column; sessions that exist now count as opened by their users."""
    op.add_column("session", sa.Column("admin_id", sa.BigInteger()))
