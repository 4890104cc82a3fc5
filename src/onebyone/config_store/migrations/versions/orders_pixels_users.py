"""Insertion orders, third-party pixels, and the columns that restrict a user."""

from __future__ import annotations

import time

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"

_IDENTITY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_DOCUMENT = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    """Create the tables and the user columns; the first user of the store becomes its admin."""
    _create_insertion_orders()
    _create_pixels()
    _create_link_table("line_item", "insertion_order")
    _create_link_table("thirdparty_pixel", "advertiser")
    op.add_column("store_state", sa.Column("part_id", sa.BigInteger(), nullable=False, server_default="0"))
    for column in (
        sa.Column("user_type", sa.String(16), nullable=False, server_default="member"),
        sa.Column("advertiser_id", sa.BigInteger()),
        sa.Column("publisher_id", sa.BigInteger()),
        sa.Column("read_only", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("admin", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("password_ms", sa.BigInteger(), nullable=False, server_default="0"),
    ):
        op.add_column("user", column)
    user = sa.table("user", sa.column("id"), sa.column("admin", sa.Boolean), sa.column("password_ms"))
    op.execute(user.update().values(password_ms=int(time.time() * 1000)))
    first = sa.select(sa.func.min(user.c.id)).scalar_subquery()
    op.execute(user.update().where(user.c.id == first).values(admin=True))


def _create_insertion_orders() -> None:
    op.create_table(
        "insertion_order",
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
            name=op.f("fk_insertion_order_member_id_advertiser_id"),
        ),
        sa.ForeignKeyConstraint(["member_id"], ["member.id"], name=op.f("fk_insertion_order_member_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_insertion_order")),
        sa.UniqueConstraint("advertiser_id", "code_key", name=op.f("uq_insertion_order_advertiser_id_code_key")),
        sa.UniqueConstraint("member_id", "id", name=op.f("uq_insertion_order_member_id_id")),
        sqlite_autoincrement=True,
    )
    columns = ["member_id", "advertiser_id", "id"]
    op.create_index(op.f("ix_insertion_order_member_id_advertiser_id_id"), "insertion_order", columns)


def _create_pixels() -> None:
    op.create_table(
        "thirdparty_pixel",
        sa.Column("id", _IDENTITY, nullable=False),
        sa.Column("member_id", sa.BigInteger(), nullable=False),
        sa.Column("advertiser_id", sa.BigInteger(), nullable=True),
        sa.Column("name", sa.String(length=255), nullable=True),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("audit_status", sa.String(length=16), nullable=False),
        sa.Column("created_on", sa.String(length=19), nullable=False),
        sa.Column("last_modified", sa.String(length=19), nullable=False),
        sa.Column("doc", _DOCUMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["member_id", "advertiser_id"],
            ["advertiser.member_id", "advertiser.id"],
            name=op.f("fk_thirdparty_pixel_member_id_advertiser_id"),
        ),
        sa.ForeignKeyConstraint(["member_id"], ["member.id"], name=op.f("fk_thirdparty_pixel_member_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_thirdparty_pixel")),
        sa.UniqueConstraint("member_id", "id", name=op.f("uq_thirdparty_pixel_member_id_id")),
        sqlite_autoincrement=True,
    )
    columns = ["member_id", "advertiser_id", "id"]
    op.create_index(op.f("ix_thirdparty_pixel_member_id_advertiser_id_id"), "thirdparty_pixel", columns)


def _create_link_table(owner: str, target: str) -> None:
    name = f"{owner}_{target}"
    columns = [f"{owner}_id", f"{target}_id"]
    op.create_table(
        name,
        sa.Column("member_id", sa.BigInteger(), nullable=False),
        *(sa.Column(column, sa.BigInteger(), autoincrement=False, nullable=False) for column in columns),
        sa.Column("position", sa.Integer(), nullable=False),
        *(
            sa.ForeignKeyConstraint(
                ["member_id", column],
                [f"{table}.member_id", f"{table}.id"],
                name=op.f(f"fk_{name}_member_id_{column}"),
                ondelete="CASCADE",
            )
            for column, table in zip(columns, (owner, target), strict=True)
        ),
        sa.PrimaryKeyConstraint(*columns, name=op.f(f"pk_{name}")),
    )
    op.create_index(op.f(f"ix_{name}_member_id_{columns[1]}"), name, ["member_id", columns[1]])
