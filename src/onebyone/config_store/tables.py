"""Tables of the configuration store.

An entity's table has columns for its id, its owners and the fields that queries filter or join on; `doc` holds the
other documented fields. Every reference between entities is a foreign key over (`member_id`, id), so that no row can
refer to another member's. Times are UTC text, `YYYY-MM-DD HH:MM:SS`; `*_ms` are milliseconds since the epoch.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
)

from onebyone.contracts.events import Kind
from onebyone.runtime import sql

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)

TIMESTAMP = String(19)

member = Table(
    "member",
    metadata,
    Column("id", sql.Identity, primary_key=True),
    Column("name", String(255), nullable=False),
    Column("state", String(16), nullable=False),
    Column("last_modified", TIMESTAMP, nullable=False),
    Column("doc", sql.Document, nullable=False),
    sqlite_autoincrement=True,
)


def entity_table(
    name: str, parents: dict[str, Table], *columns: Column[int] | Column[str], code_owner: str | None = None
) -> Table:
    """Return the table of one kind of object.

    `parents` maps a column to the table that it refers to. With `code_owner`, codes are unique within that column's
    value, ignoring case.
    """
    foreign_keys = [
        ForeignKeyConstraint(["member_id", column], [f"{parent.name}.member_id", f"{parent.name}.id"])
        for column, parent in parents.items()
    ]
    own = {column.name for column in columns}
    table = Table(
        name,
        metadata,
        Column("id", sql.Identity, primary_key=True),
        Column("member_id", BigInteger, ForeignKey("member.id"), nullable=False),
        *(Column(column, BigInteger, nullable=False) for column in parents if column not in own),
        *columns,
        Column("code", String(100)),
        Column("code_key", String(300)),
        Column("name", String(255), nullable=False),
        Column("state", String(16), nullable=False),
        Column("last_modified", TIMESTAMP, nullable=False),
        Column("doc", sql.Document, nullable=False),
        UniqueConstraint("member_id", "id"),
        *foreign_keys,
        # Reports keep the ids of deleted objects, so SQLite must never reuse one.
        sqlite_autoincrement=True,
    )
    for column in parents:
        Index(None, table.c.member_id, table.c[column], table.c.id)
    if code_owner is not None:
        table.append_constraint(UniqueConstraint(code_owner, "code_key"))
    return table


advertiser = entity_table("advertiser", {}, code_owner="member_id")
publisher = entity_table(
    "publisher",
    {},
    Column("default_site_id", BigInteger),
    Column("base_payment_rule_id", BigInteger),
    code_owner="member_id",
)
site = entity_table("site", {"publisher_id": publisher}, code_owner="publisher_id")
placement = entity_table(
    "placement",
    {"publisher_id": publisher, "site_id": site},
    Column("site_id", BigInteger),
    code_owner="publisher_id",
)
payment_rule = entity_table("payment_rule", {"publisher_id": publisher}, code_owner="publisher_id")
insertion_order = entity_table("insertion_order", {"advertiser_id": advertiser}, code_owner="advertiser_id")
line_item = entity_table("line_item", {"advertiser_id": advertiser}, code_owner="advertiser_id")

thirdparty_pixel = Table(
    "thirdparty_pixel",
    metadata,
    Column("id", sql.Identity, primary_key=True),
    Column("member_id", BigInteger, ForeignKey("member.id"), nullable=False),
    Column("advertiser_id", BigInteger),
    Column("name", String(255)),
    Column("active", Boolean, nullable=False),
    Column("audit_status", String(16), nullable=False),
    Column("created_on", TIMESTAMP, nullable=False),
    Column("last_modified", TIMESTAMP, nullable=False),
    Column("doc", sql.Document, nullable=False),
    UniqueConstraint("member_id", "id"),
    ForeignKeyConstraint(["member_id", "advertiser_id"], ["advertiser.member_id", "advertiser.id"]),
    Index(None, "member_id", "advertiser_id", "id"),
    sqlite_autoincrement=True,
)


def _link_table(owner: Table, target: Table) -> Table:
    """Return the table of ordered links from rows of `owner` to rows of `target`; deleting either side deletes them."""
    columns = [f"{table.name}_id" for table in (owner, target)]
    return Table(
        f"{owner.name}_{target.name}",
        metadata,
        Column("member_id", BigInteger, nullable=False),
        *(Column(column, BigInteger, primary_key=True, autoincrement=False) for column in columns),
        Column("position", Integer, nullable=False),
        *(
            ForeignKeyConstraint(
                ["member_id", column], [f"{table.name}.member_id", f"{table.name}.id"], ondelete="CASCADE"
            )
            for column, table in zip(columns, (owner, target), strict=True)
        ),
        Index(None, "member_id", columns[1]),
    )


line_item_insertion_order = _link_table(line_item, insertion_order)
thirdparty_pixel_advertiser = _link_table(thirdparty_pixel, advertiser)


def _tracker(name: str, *columns: Column[str]) -> Table:
    return entity_table(
        name,
        {
            "advertiser_id": advertiser,
            "line_item_id": line_item,
            "publisher_id": publisher,
            "placement_id": placement,
            "payment_rule_id": payment_rule,
        },
        Column("placement_id", BigInteger),
        Column("payment_rule_id", BigInteger),
        *columns,
    )


imptracker = _tracker("imptracker")
clicktracker = _tracker("clicktracker", Column("click_url", String(2000)), Column("click_host", String(255)))
Index(None, clicktracker.c.member_id, clicktracker.c.click_host)

TRACKER_TABLES: dict[Kind, Table] = {"imp": imptracker, "clk": clicktracker}
"""Kind of event -> the table of its trackers."""

ROW_COUNT_BLOCK = 1000
"""Ids of one block: a million trackers are a thousand rows of counts, and no page lies more than a thousand rows into
its block. The triggers of revision 0003 hold the same number, so changing it takes a new revision."""
ROW_COUNT_COLUMNS = ("member_id", "advertiser_id", "state")
"""Columns that the stored row counts distinguish."""


def _row_count_table(table: Table) -> Table:
    """Return the table of how many objects each block of ids (id / ROW_COUNT_BLOCK, rounded down) holds.

    An object counts in the rows of its advertiser and in those of advertiser 0, which sum up all advertisers. Triggers
    keep the counts, so that they are right whichever program writes.
    """
    return Table(
        f"{table.name}_tally",
        metadata,
        *(
            Column(name, BigInteger, primary_key=True, autoincrement=False)
            for name in ("member_id", "advertiser_id", "block")
        ),
        Column("state", String(16), primary_key=True),
        Column("objects", BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )


ROW_COUNT_TABLES = {table: _row_count_table(table) for table in (imptracker, clicktracker)}
"""Table -> its stored row counts, for the objects that no limit bounds: lists of them must not read the whole table."""
SEARCHED_TEXTS = {imptracker: ("name", "code_key"), clicktracker: ("name", "code_key", "click_url")}
"""Table -> its text columns in the trigram index, which triggers keep (`trigrams.py`)."""

for _table in ROW_COUNT_TABLES:
    Index(None, _table.c.member_id, _table.c.code_key)
    for _name in ("state", "name", "last_modified"):
        Index(None, _table.c.member_id, _table.c[_name], _table.c.id)
        Index(None, _table.c.member_id, _table.c.advertiser_id, _table.c[_name], _table.c.id)

user = Table(
    "user",
    metadata,
    Column("id", sql.Identity, primary_key=True),
    Column("member_id", BigInteger, ForeignKey("member.id"), nullable=False, index=True),
    Column("username", String(255), nullable=False),
    Column("username_key", String(765), nullable=False, unique=True),
    Column("password_hash", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("user_type", String(16), nullable=False, server_default="member"),
    Column("advertiser_id", BigInteger),
    Column("publisher_id", BigInteger),
    Column("read_only", Boolean, nullable=False, server_default=false()),
    Column("admin", Boolean, nullable=False, server_default=false()),
    Column("password_ms", BigInteger, nullable=False, server_default="0"),
    Column("last_modified", TIMESTAMP, nullable=False),
    Column("doc", sql.Document, nullable=False),
    sqlite_autoincrement=True,
)
"""`advertiser_id` and `publisher_id` limit what a user of that type sees. Ids are never reused, so the id of a deleted
object shows nothing. `password_ms` is when the password was set."""

session = Table(
    "session",
    metadata,
    Column("token_hash", String(64), primary_key=True),
    Column("user_id", BigInteger, ForeignKey("user.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("created_ms", BigInteger, nullable=False, index=True),
    Column("used_ms", BigInteger, nullable=False),
    Column("admin_id", BigInteger),
)
"""`admin_id` is the admin who acts as the user in this session; null when the user has logged in."""

signing_key = Table(
    "signing_key",
    metadata,
    Column("member_id", BigInteger, ForeignKey("member.id"), primary_key=True, autoincrement=False),
    Column("kid", String(32), primary_key=True),
    Column("secret", String(64), nullable=False),
    Column("created_on", TIMESTAMP, nullable=False),
)
"""The keys with which members sign links; the secret is kept in clear, because the edge needs it to verify them."""

report = Table(
    "report",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("member_id", BigInteger, ForeignKey("member.id"), nullable=False),
    Column("user_id", BigInteger, nullable=False),
    Column("created_on", TIMESTAMP, nullable=False, index=True),
    Column("request", sql.Document, nullable=False),
    Column("status", String(16), nullable=False),
    Column("leased_ms", BigInteger, nullable=False),
    Column("error", Text),
    Column("header_info", Text),
    Column("row_count", Integer),
    Column("size", Integer),
    Column("body", LargeBinary),
    Index("ix_report_member_id_created_on", "member_id", "created_on"),
)
"""Ordered reports and their files. `leased_ms`: until when a process vouches that it is making a pending one."""

store_state = Table(
    "store_state",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("store_id", String(32), nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("part_id", BigInteger, nullable=False, server_default="0"),
    CheckConstraint("id = 1", name="one_row"),
)
"""One row: the random id of this store and the version of its last change; writers lock it, and so run one by one.
`part_id` is the last id given to a part of an object, such as a budget interval."""

outbox = Table(
    "outbox",
    metadata,
    Column("version", BigInteger, primary_key=True, autoincrement=False),
    Column("keys", Text, nullable=False),
    Column("created_ms", BigInteger, nullable=False, index=True),
)
"""The Redis keys that each version changed, separated by blanks."""
