"""An index by line item, so that its first and last hour are found without reading the hours in between."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Create the index."""
    columns = ["member_id", "line_item_id", "kind", "hour"]
    op.create_index("ix_hourly_member_id_line_item_id", "hourly", columns, unique=False)
