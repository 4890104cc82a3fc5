"""The tables of the first release."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_IDENTITY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create all tables."""
    op.create_table(
        "archive",
        sa.Column("producer", sa.String(length=16), nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("shard", sa.Integer(), nullable=False),
        sa.Column("first_ts", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("events", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("producer", "seq", name=op.f("pk_archive")),
    )
    op.create_index("ix_archive_first_ts", "archive", ["first_ts"], unique=False)
    op.create_table(
        "clicks",
        sa.Column("id", _IDENTITY, nullable=False),
        sa.Column("event_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("ts", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("tracker_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("member_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("advertiser_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("line_item_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("insertion_order_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("publisher_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("site_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("tag_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("payment_rule_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("site_domain", sa.String(length=255), nullable=False),
        sa.Column("ancost", sa.BigInteger(), nullable=True),
        sa.Column("user_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("pricing_type", sa.String(length=32), nullable=False),
        sa.Column("revenue_value", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("revshare", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("commission_cpm", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("commission_revshare", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_clicks")),
    )
    op.create_index("ix_clicks_member_id_ts", "clicks", ["member_id", "ts"], unique=False)
    op.create_table(
        "dead_letters",
        sa.Column("id", _IDENTITY, nullable=False),
        sa.Column("shard", sa.Integer(), nullable=False),
        sa.Column("stream_ms", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("stream_seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("line", sa.Integer(), nullable=False),
        sa.Column("producer", sa.String(length=16), nullable=True),
        sa.Column("seq", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.String(length=32), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("raw", sa.LargeBinary(), nullable=False),
        sa.Column("found_at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dead_letters")),
    )
    op.create_table(
        "holes",
        sa.Column("id", _IDENTITY, nullable=False),
        sa.Column("producer", sa.String(length=16), nullable=False),
        sa.Column("from_seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("to_seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("found_at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_holes")),
    )
    op.create_table(
        "hourly",
        sa.Column("member_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("hour", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(length=3), nullable=False),
        sa.Column("tracker_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("advertiser_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("line_item_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("insertion_order_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("publisher_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("site_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("tag_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("payment_rule_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("events", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("cost_units", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("cost_nanos", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("revenue_units", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("revenue_nanos", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint(
            "member_id",
            "hour",
            "kind",
            "tracker_id",
            "advertiser_id",
            "line_item_id",
            "insertion_order_id",
            "publisher_id",
            "site_id",
            "tag_id",
            "payment_rule_id",
            name=op.f("pk_hourly"),
        ),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "positions",
        sa.Column("shard", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("stream_ms", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("stream_seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("incarnation", sa.String(length=64), nullable=False),
        sa.Column("generation", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("shard", name=op.f("pk_positions")),
    )
    op.create_table(
        "producers",
        sa.Column("producer", sa.String(length=16), nullable=False),
        sa.Column("shard", sa.Integer(), nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("seen", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("updated_at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("producer", name=op.f("pk_producers")),
    )
    op.create_index("ix_producers_shard_updated_at", "producers", ["shard", "updated_at"], unique=False)
