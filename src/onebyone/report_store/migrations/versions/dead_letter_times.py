"""An index by which old dead letters are found without reading all of them."""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Create the index."""
    op.create_index("ix_dead_letters_found_at", "dead_letters", ["found_at"], unique=False)
