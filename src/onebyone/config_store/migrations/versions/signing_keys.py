"""The keys with which members sign links."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "signing_key",
        sa.Column("member_id", sa.BigInteger(), sa.ForeignKey("member.id", name="fk_signing_key_member_id_member")),
        sa.Column("kid", sa.String(32)),
        sa.Column("secret", sa.String(64), nullable=False),
        sa.Column("created_on", sa.String(19), nullable=False),
        sa.PrimaryKeyConstraint("member_id", "kid", name="pk_signing_key"),
    )
