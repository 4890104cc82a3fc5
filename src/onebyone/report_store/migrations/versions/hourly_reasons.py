"""Why events are not counted becomes part of the key of the hourly sums; the sums that exist are those of counted
events."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_IDS = (
    "tracker_id",
    "advertiser_id",
    "line_item_id",
    "insertion_order_id",
    "publisher_id",
    "site_id",
    "tag_id",
    "payment_rule_id",
)
_KEY = ("member_id", "hour", "kind", *_IDS)
_SUMS = ("events", "cost_units", "cost_nanos", "revenue_units", "revenue_nanos")


def upgrade() -> None:
    """Extend the primary key, and let the index by line item hold the reason, which its readers filter by."""
    op.drop_index("ix_hourly_member_id_line_item_id", "hourly")
    if op.get_bind().dialect.name == "sqlite":
        _rebuild_table()
    else:
        op.add_column("hourly", sa.Column("reason", sa.String(length=32), nullable=False, server_default=""))
        op.alter_column("hourly", "reason", server_default=None)
        op.drop_constraint("pk_hourly", "hourly", type_="primary")
        op.create_primary_key("pk_hourly", "hourly", [*_KEY, "reason"])
    columns = ["member_id", "line_item_id", "kind", "hour", "reason"]
    op.create_index("ix_hourly_member_id_line_item_id", "hourly", columns, unique=False)


def _rebuild_table() -> None:
    """SQLite cannot change the key of a table: copy the rows into a new one."""
    op.rename_table("hourly", "hourly_before")
    op.create_table(
        "hourly",
        sa.Column("member_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("hour", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(length=3), nullable=False),
        *(sa.Column(name, sa.BigInteger(), autoincrement=False, nullable=False) for name in _IDS),
        sa.Column("reason", sa.String(length=32), nullable=False),
        *(sa.Column(name, sa.BigInteger(), autoincrement=False, nullable=False) for name in _SUMS),
        sa.PrimaryKeyConstraint(*_KEY, "reason", name=op.f("pk_hourly")),
        sqlite_with_rowid=False,
    )
    old = ", ".join((*_KEY, *_SUMS))
    op.execute(f"INSERT INTO hourly ({old}, reason) SELECT {old}, '' FROM hourly_before")  # noqa: S608
    op.drop_table("hourly_before")
