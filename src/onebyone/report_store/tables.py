"""Tables of the report store.

Money is kept as whole currency units and nanos (1e-9) below one unit, so that no sum of events can overflow 64 bits.
`ts` and every `*_at` are milliseconds since the epoch; `hour` is epoch seconds of the start of an hour.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, LargeBinary, MetaData, String, Table, Text

from onebyone.contracts.events import AS_OF, REASON_LENGTH
from onebyone.runtime import sql

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)


def _bigint(name: str, *, key: bool = False) -> Column[int]:
    return Column(name, BigInteger, primary_key=key, autoincrement=False, nullable=False)


positions = Table(
    "positions",
    metadata,
    Column("shard", Integer, primary_key=True, autoincrement=False),
    _bigint("stream_ms"),
    _bigint("stream_seq"),
    Column("incarnation", String(64), nullable=False),
    _bigint("generation"),
    Column("owner", String(16), nullable=False, server_default=""),
)
"""The last stream entry that each shard has counted. `owner` is the counter that has the lease of the shard, if any.
`generation` grows by one with each commit and each new owner. A commit compares both before it sets the position, so
that of two counters of one shard only one commits, and a counter that has lost its lease does not."""

counters = Table(
    "counters",
    metadata,
    Column("counter", String(16), primary_key=True),
    _bigint("beat"),
    _bigint("beat_at"),
    Column("leaving", Boolean, nullable=False),
)
"""The counters that run. Each lets its `beat` grow; the others take its shards when they have seen it unchanged for too
long. `beat_at` is the store's own clock at the last beat. A counter that stops is `leaving`, and keeps its row until
another one removes it, so that the time of its last beat stays known."""

producers = Table(
    "producers",
    metadata,
    Column("producer", String(16), primary_key=True),
    Column("shard", Integer, nullable=False),
    _bigint("seq"),
    _bigint("seen"),
    _bigint("updated_at"),
    Index("ix_producers_shard_updated_at", "shard", "updated_at"),
)
"""Of each producer, `seq` is the last counted batch, `seen` the newest to arrive; they differ while one is missing."""

hourly = Table(
    "hourly",
    metadata,
    _bigint("member_id", key=True),
    _bigint("hour", key=True),
    Column("kind", String(3), primary_key=True),
    _bigint("tracker_id", key=True),
    *(_bigint(name, key=True) for name in AS_OF if name != "member_id"),
    Column("reason", String(REASON_LENGTH), primary_key=True),
    _bigint("events"),
    _bigint("cost_units"),
    _bigint("cost_nanos"),
    _bigint("revenue_units"),
    _bigint("revenue_nanos"),
    Index("ix_hourly_member_id_line_item_id", "member_id", "line_item_id", "kind", "hour", "reason"),
    sqlite_with_rowid=False,
)
"""Events, cost and booked revenue by hour, tracker, the ids that the events carried, and the reason.

Rows with one of `traffic_classes.COUNTED_REASONS` are the counted events, net or classified; every other row is what
an edge keeps uncounted, and has neither cost nor revenue. Member 0 has the requests that reached no tracker.
"""

clicks = Table(
    "clicks",
    metadata,
    Column("id", sql.Identity, primary_key=True),
    _bigint("event_id"),
    _bigint("ts"),
    _bigint("tracker_id"),
    *(_bigint(name) for name in AS_OF),
    Column("site_domain", String(255), nullable=False),
    Column("ancost", BigInteger),
    _bigint("user_id"),
    Column("pricing_type", String(32), nullable=False),
    _bigint("revenue_value"),
    _bigint("revshare"),
    _bigint("commission_cpm"),
    _bigint("commission_revshare"),
    Index("ix_clicks_member_id_ts", "member_id", "ts"),
)
"""One row for each click. `ancost` and the terms are in micros, shares in parts per million."""

archive = Table(
    "archive",
    metadata,
    Column("producer", String(16), primary_key=True),
    _bigint("seq", key=True),
    Column("shard", Integer, nullable=False),
    _bigint("first_ts"),
    _bigint("events"),
    Column("payload", LargeBinary, nullable=False),
    Index("ix_archive_first_ts", "first_ts"),
)
"""Every counted batch as it was shipped (`batches.py`), for replay."""

dead_letters = Table(
    "dead_letters",
    metadata,
    Column("id", sql.Identity, primary_key=True),
    Column("shard", Integer, nullable=False),
    _bigint("stream_ms"),
    _bigint("stream_seq"),
    Column("line", Integer, nullable=False),
    Column("producer", String(16)),
    Column("seq", BigInteger),
    Column("reason", String(32), nullable=False),
    Column("detail", Text, nullable=False),
    Column("raw", LargeBinary, nullable=False),
    _bigint("found_at"),
    Index("ix_dead_letters_found_at", "found_at"),
)
"""Records and stream entries that could not be counted. `line` is the record's index in its batch, or -1 for a whole
stream entry; `raw` is then JSON of the entry's fields in which each byte is the character of the same number."""

holes = Table(
    "holes",
    metadata,
    Column("id", sql.Identity, primary_key=True),
    Column("producer", String(16), nullable=False),
    _bigint("from_seq"),
    _bigint("to_seq"),
    _bigint("found_at"),
)
"""Batches that will never arrive, because their journal no longer has them: loss made visible."""
