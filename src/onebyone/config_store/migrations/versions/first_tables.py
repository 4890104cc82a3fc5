"""The tables of the first release."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None

_IDENTITY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_DOCUMENT = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    """Create all tables."""
    op.create_table(
        "member",
        sa.Column("id", _IDENTITY, nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("last_modified", sa.String(length=19), nullable=False),
        sa.Column("doc", _DOCUMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_member")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "outbox",
        sa.Column("version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("keys", sa.Text(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("version", name=op.f("pk_outbox")),
    )
    op.create_index(op.f("ix_outbox_created_ms"), "outbox", ["created_ms"], unique=False)
    op.create_table(
        "store_state",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("store_id", sa.String(length=32), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_store_state_one_row")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_store_state")),
    )
    op.create_table(
        "advertiser",
        sa.Column("id", _IDENTITY, nullable=False),
        sa.Column("member_id", sa.BigInteger(), nullable=False),
        sa.Column("code", sa.String(length=100), nullable=True),
        sa.Column("code_key", sa.String(length=300), nullable=True),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("last_modified", sa.String(length=19), nullable=False),
        sa.Column("doc", _DOCUMENT, nullable=False),
        sa.ForeignKeyConstraint(["member_id"], ["member.id"], name=op.f("fk_advertiser_member_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_advertiser")),
        sa.UniqueConstraint("member_id", "code_key", name=op.f("uq_advertiser_member_id_code_key")),
        sa.UniqueConstraint("member_id", "id", name=op.f("uq_advertiser_member_id_id")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "publisher",
        sa.Column("id", _IDENTITY, nullable=False),
        sa.Column("member_id", sa.BigInteger(), nullable=False),
        sa.Column("default_site_id", sa.BigInteger(), nullable=True),
        sa.Column("base_payment_rule_id", sa.BigInteger(), nullable=True),
        sa.Column("code", sa.String(length=100), nullable=True),
        sa.Column("code_key", sa.String(length=300), nullable=True),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("last_modified", sa.String(length=19), nullable=False),
        sa.Column("doc", _DOCUMENT, nullable=False),
        sa.ForeignKeyConstraint(["member_id"], ["member.id"], name=op.f("fk_publisher_member_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_publisher")),
        sa.UniqueConstraint("member_id", "code_key", name=op.f("uq_publisher_member_id_code_key")),
        sa.UniqueConstraint("member_id", "id", name=op.f("uq_publisher_member_id_id")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "report",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("member_id", sa.BigInteger(), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("created_on", sa.String(length=19), nullable=False),
        sa.Column("request", _DOCUMENT, nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("header_info", sa.Text(), nullable=True),
        sa.Column("row_count", sa.Integer(), nullable=True),
        sa.Column("size", sa.Integer(), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(["member_id"], ["member.id"], name=op.f("fk_report_member_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_report")),
    )
    op.create_index(op.f("ix_report_created_on"), "report", ["created_on"], unique=False)
    op.create_index("ix_report_member_id_created_on", "report", ["member_id", "created_on"], unique=False)
    op.create_table(
        "user",
        sa.Column("id", _IDENTITY, nullable=False),
        sa.Column("member_id", sa.BigInteger(), nullable=False),
        sa.Column("username", sa.String(length=255), nullable=False),
        sa.Column("username_key", sa.String(length=765), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("last_modified", sa.String(length=19), nullable=False),
        sa.Column("doc", _DOCUMENT, nullable=False),
        sa.ForeignKeyConstraint(["member_id"], ["member.id"], name=op.f("fk_user_member_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_user")),
        sa.UniqueConstraint("username_key", name=op.f("uq_user_username_key")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_user_member_id"), "user", ["member_id"], unique=False)
    op.create_table(
        "line_item",
        sa.Column("id", _IDENTITY, nullable=False),
        sa.Column("member_id", sa.BigInteger(), nullable=False),
        sa.Column("advertiser_id", sa.BigInteger(), nullable=False),
        sa.Column("code", sa.String(length=100), nullable=True),
        sa.Column("code_key", sa.String(length=300), nullable=True),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("last_modified", sa.String(length=19), nullable=False),
        sa.Column("doc", _DOCUMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["member_id", "advertiser_id"],
            ["advertiser.member_id", "advertiser.id"],
            name=op.f("fk_line_item_member_id_advertiser_id"),
        ),
        sa.ForeignKeyConstraint(["member_id"], ["member.id"], name=op.f("fk_line_item_member_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_line_item")),
        sa.UniqueConstraint("advertiser_id", "code_key", name=op.f("uq_line_item_advertiser_id_code_key")),
        sa.UniqueConstraint("member_id", "id", name=op.f("uq_line_item_member_id_id")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        op.f("ix_line_item_member_id_advertiser_id_id"), "line_item", ["member_id", "advertiser_id", "id"], unique=False
    )
    op.create_table(
        "payment_rule",
        sa.Column("id", _IDENTITY, nullable=False),
        sa.Column("member_id", sa.BigInteger(), nullable=False),
        sa.Column("publisher_id", sa.BigInteger(), nullable=False),
        sa.Column("code", sa.String(length=100), nullable=True),
        sa.Column("code_key", sa.String(length=300), nullable=True),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("last_modified", sa.String(length=19), nullable=False),
        sa.Column("doc", _DOCUMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["member_id", "publisher_id"],
            ["publisher.member_id", "publisher.id"],
            name=op.f("fk_payment_rule_member_id_publisher_id"),
        ),
        sa.ForeignKeyConstraint(["member_id"], ["member.id"], name=op.f("fk_payment_rule_member_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payment_rule")),
        sa.UniqueConstraint("member_id", "id", name=op.f("uq_payment_rule_member_id_id")),
        sa.UniqueConstraint("publisher_id", "code_key", name=op.f("uq_payment_rule_publisher_id_code_key")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        op.f("ix_payment_rule_member_id_publisher_id_id"),
        "payment_rule",
        ["member_id", "publisher_id", "id"],
        unique=False,
    )
    op.create_table(
        "session",
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("used_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name=op.f("fk_session_user_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_session")),
    )
    op.create_index(op.f("ix_session_created_ms"), "session", ["created_ms"], unique=False)
    op.create_index(op.f("ix_session_user_id"), "session", ["user_id"], unique=False)
    op.create_table(
        "site",
        sa.Column("id", _IDENTITY, nullable=False),
        sa.Column("member_id", sa.BigInteger(), nullable=False),
        sa.Column("publisher_id", sa.BigInteger(), nullable=False),
        sa.Column("code", sa.String(length=100), nullable=True),
        sa.Column("code_key", sa.String(length=300), nullable=True),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("last_modified", sa.String(length=19), nullable=False),
        sa.Column("doc", _DOCUMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["member_id", "publisher_id"],
            ["publisher.member_id", "publisher.id"],
            name=op.f("fk_site_member_id_publisher_id"),
        ),
        sa.ForeignKeyConstraint(["member_id"], ["member.id"], name=op.f("fk_site_member_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_site")),
        sa.UniqueConstraint("member_id", "id", name=op.f("uq_site_member_id_id")),
        sa.UniqueConstraint("publisher_id", "code_key", name=op.f("uq_site_publisher_id_code_key")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        op.f("ix_site_member_id_publisher_id_id"), "site", ["member_id", "publisher_id", "id"], unique=False
    )
    op.create_table(
        "placement",
        sa.Column("id", _IDENTITY, nullable=False),
        sa.Column("member_id", sa.BigInteger(), nullable=False),
        sa.Column("publisher_id", sa.BigInteger(), nullable=False),
        sa.Column("site_id", sa.BigInteger(), nullable=True),
        sa.Column("code", sa.String(length=100), nullable=True),
        sa.Column("code_key", sa.String(length=300), nullable=True),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("last_modified", sa.String(length=19), nullable=False),
        sa.Column("doc", _DOCUMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["member_id", "publisher_id"],
            ["publisher.member_id", "publisher.id"],
            name=op.f("fk_placement_member_id_publisher_id"),
        ),
        sa.ForeignKeyConstraint(
            ["member_id", "site_id"], ["site.member_id", "site.id"], name=op.f("fk_placement_member_id_site_id")
        ),
        sa.ForeignKeyConstraint(["member_id"], ["member.id"], name=op.f("fk_placement_member_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_placement")),
        sa.UniqueConstraint("member_id", "id", name=op.f("uq_placement_member_id_id")),
        sa.UniqueConstraint("publisher_id", "code_key", name=op.f("uq_placement_publisher_id_code_key")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        op.f("ix_placement_member_id_publisher_id_id"), "placement", ["member_id", "publisher_id", "id"], unique=False
    )
    op.create_index(
        op.f("ix_placement_member_id_site_id_id"), "placement", ["member_id", "site_id", "id"], unique=False
    )
    op.create_table(
        "clicktracker",
        sa.Column("id", _IDENTITY, nullable=False),
        sa.Column("member_id", sa.BigInteger(), nullable=False),
        sa.Column("advertiser_id", sa.BigInteger(), nullable=False),
        sa.Column("line_item_id", sa.BigInteger(), nullable=False),
        sa.Column("publisher_id", sa.BigInteger(), nullable=False),
        sa.Column("placement_id", sa.BigInteger(), nullable=True),
        sa.Column("payment_rule_id", sa.BigInteger(), nullable=True),
        sa.Column("click_url", sa.String(length=2000), nullable=True),
        sa.Column("click_host", sa.String(length=255), nullable=True),
        sa.Column("code", sa.String(length=100), nullable=True),
        sa.Column("code_key", sa.String(length=300), nullable=True),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("last_modified", sa.String(length=19), nullable=False),
        sa.Column("doc", _DOCUMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["member_id", "advertiser_id"],
            ["advertiser.member_id", "advertiser.id"],
            name=op.f("fk_clicktracker_member_id_advertiser_id"),
        ),
        sa.ForeignKeyConstraint(
            ["member_id", "line_item_id"],
            ["line_item.member_id", "line_item.id"],
            name=op.f("fk_clicktracker_member_id_line_item_id"),
        ),
        sa.ForeignKeyConstraint(
            ["member_id", "payment_rule_id"],
            ["payment_rule.member_id", "payment_rule.id"],
            name=op.f("fk_clicktracker_member_id_payment_rule_id"),
        ),
        sa.ForeignKeyConstraint(
            ["member_id", "placement_id"],
            ["placement.member_id", "placement.id"],
            name=op.f("fk_clicktracker_member_id_placement_id"),
        ),
        sa.ForeignKeyConstraint(
            ["member_id", "publisher_id"],
            ["publisher.member_id", "publisher.id"],
            name=op.f("fk_clicktracker_member_id_publisher_id"),
        ),
        sa.ForeignKeyConstraint(["member_id"], ["member.id"], name=op.f("fk_clicktracker_member_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_clicktracker")),
        sa.UniqueConstraint("member_id", "id", name=op.f("uq_clicktracker_member_id_id")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        op.f("ix_clicktracker_member_id_advertiser_id_id"),
        "clicktracker",
        ["member_id", "advertiser_id", "id"],
        unique=False,
    )
    op.create_index(
        op.f("ix_clicktracker_member_id_click_host"), "clicktracker", ["member_id", "click_host"], unique=False
    )
    op.create_index(
        op.f("ix_clicktracker_member_id_line_item_id_id"),
        "clicktracker",
        ["member_id", "line_item_id", "id"],
        unique=False,
    )
    op.create_index(
        op.f("ix_clicktracker_member_id_payment_rule_id_id"),
        "clicktracker",
        ["member_id", "payment_rule_id", "id"],
        unique=False,
    )
    op.create_index(
        op.f("ix_clicktracker_member_id_placement_id_id"),
        "clicktracker",
        ["member_id", "placement_id", "id"],
        unique=False,
    )
    op.create_index(
        op.f("ix_clicktracker_member_id_publisher_id_id"),
        "clicktracker",
        ["member_id", "publisher_id", "id"],
        unique=False,
    )
    op.create_table(
        "imptracker",
        sa.Column("id", _IDENTITY, nullable=False),
        sa.Column("member_id", sa.BigInteger(), nullable=False),
        sa.Column("advertiser_id", sa.BigInteger(), nullable=False),
        sa.Column("line_item_id", sa.BigInteger(), nullable=False),
        sa.Column("publisher_id", sa.BigInteger(), nullable=False),
        sa.Column("placement_id", sa.BigInteger(), nullable=True),
        sa.Column("payment_rule_id", sa.BigInteger(), nullable=True),
        sa.Column("code", sa.String(length=100), nullable=True),
        sa.Column("code_key", sa.String(length=300), nullable=True),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("last_modified", sa.String(length=19), nullable=False),
        sa.Column("doc", _DOCUMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["member_id", "advertiser_id"],
            ["advertiser.member_id", "advertiser.id"],
            name=op.f("fk_imptracker_member_id_advertiser_id"),
        ),
        sa.ForeignKeyConstraint(
            ["member_id", "line_item_id"],
            ["line_item.member_id", "line_item.id"],
            name=op.f("fk_imptracker_member_id_line_item_id"),
        ),
        sa.ForeignKeyConstraint(
            ["member_id", "payment_rule_id"],
            ["payment_rule.member_id", "payment_rule.id"],
            name=op.f("fk_imptracker_member_id_payment_rule_id"),
        ),
        sa.ForeignKeyConstraint(
            ["member_id", "placement_id"],
            ["placement.member_id", "placement.id"],
            name=op.f("fk_imptracker_member_id_placement_id"),
        ),
        sa.ForeignKeyConstraint(
            ["member_id", "publisher_id"],
            ["publisher.member_id", "publisher.id"],
            name=op.f("fk_imptracker_member_id_publisher_id"),
        ),
        sa.ForeignKeyConstraint(["member_id"], ["member.id"], name=op.f("fk_imptracker_member_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_imptracker")),
        sa.UniqueConstraint("member_id", "id", name=op.f("uq_imptracker_member_id_id")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        op.f("ix_imptracker_member_id_advertiser_id_id"),
        "imptracker",
        ["member_id", "advertiser_id", "id"],
        unique=False,
    )
    op.create_index(
        op.f("ix_imptracker_member_id_line_item_id_id"), "imptracker", ["member_id", "line_item_id", "id"], unique=False
    )
    op.create_index(
        op.f("ix_imptracker_member_id_payment_rule_id_id"),
        "imptracker",
        ["member_id", "payment_rule_id", "id"],
        unique=False,
    )
    op.create_index(
        op.f("ix_imptracker_member_id_placement_id_id"), "imptracker", ["member_id", "placement_id", "id"], unique=False
    )
    op.create_index(
        op.f("ix_imptracker_member_id_publisher_id_id"), "imptracker", ["member_id", "publisher_id", "id"], unique=False
    )
