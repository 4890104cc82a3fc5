"""Tables of the report store.

Money is kept as whole currency units and nanos (1e-9) below one unit, so that no sum of events can overflow 64 bits.
`ts` and every `*_at` are milliseconds since the epoch; `hour` is epoch seconds of the hour's start, UTC.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, MetaData, String, Table, Text

from onebyone.contracts.events import AS_OF
from onebyone.runtime import sql

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)


def _number(name: str, *, key: bool = False) -> Column[int]:
    return Column(name, BigInteger, primary_key=key, autoincrement=False, nullable=False)


positions = Table(
    "positions",
    metadata,
    Column("shard", Integer, primary_key=True, autoincrement=False),
    _number("stream_ms"),
    _number("stream_seq"),
    Column("incarnation", String(64), nullable=False),
    _number("generation"),
)
"""How far each shard's stream is counted; `generation` grows with each commit and is compared before it is set."""

producers = Table(
    "producers",
    metadata,
    Column("producer", String(16), primary_key=True),
    Column("shard", Integer, nullable=False),
    _number("seq"),
    _number("seen"),
    _number("updated_at"),
    Index("ix_producers_shard_updated_at", "shard", "updated_at"),
)
"""The last counted batch of each producer, and the newest that was seen; they differ while one is missing."""

hourly = Table(
    "hourly",
    metadata,
    _number("member_id", key=True),
    _number("hour", key=True),
    Column("kind", String(3), primary_key=True),
    _number("tracker_id", key=True),
    *(_number(name, key=True) for name in AS_OF if name != "member_id"),
    _number("events"),
    _number("cost_units"),
    _number("cost_nanos"),
    _number("revenue_units"),
    _number("revenue_nanos"),
    Index("ix_hourly_member_id_line_item_id", "member_id", "line_item_id", "kind", "hour"),
    sqlite_with_rowid=False,
)
"""Events, cost and booked revenue by hour, tracker and the ids that were in force."""

clicks = Table(
    "clicks",
    metadata,
    Column("id", sql.Identity, primary_key=True),
    _number("event_id"),
    _number("ts"),
    _number("tracker_id"),
    *(_number(name) for name in AS_OF),
    Column("site_domain", String(255), nullable=False),
    Column("ancost", BigInteger),
    _number("user_id"),
    Column("pricing_type", String(32), nullable=False),
    _number("revenue_value"),
    _number("revshare"),
    _number("commission_cpm"),
    _number("commission_revshare"),
    Index("ix_clicks_member_id_ts", "member_id", "ts"),
)
"""One row a click. `ancost` and the terms are in micros, shares in parts per million."""

archive = Table(
    "archive",
    metadata,
    Column("producer", String(16), primary_key=True),
    _number("seq", key=True),
    Column("shard", Integer, nullable=False),
    _number("first_ts"),
    _number("events"),
    Column("payload", LargeBinary, nullable=False),
    Index("ix_archive_first_ts", "first_ts"),
)
"""Every counted batch as it travelled (`batches.py`), for replay."""

dead_letters = Table(
    "dead_letters",
    metadata,
    Column("id", sql.Identity, primary_key=True),
    Column("shard", Integer, nullable=False),
    _number("stream_ms"),
    _number("stream_seq"),
    Column("line", Integer, nullable=False),
    Column("producer", String(16)),
    Column("seq", BigInteger),
    Column("reason", String(32), nullable=False),
    Column("detail", Text, nullable=False),
    Column("raw", LargeBinary, nullable=False),
    _number("found_at"),
)
"""What could not be counted. `line` is the record's index in its batch; -1: the whole stream entry, `raw` is then JSON
of its fields with each byte as the character of that number."""

holes = Table(
    "holes",
    metadata,
    Column("id", sql.Identity, primary_key=True),
    Column("producer", String(16), nullable=False),
    _number("from_seq"),
    _number("to_seq"),
    _number("found_at"),
)
"""Batches that will never come, because their journal no longer had them: loss made visible."""
