"""A store with any number of trackers under one advertiser, written past the API."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncEngine

from onebyone.config_store import tables
from onebyone.runtime import sql

NEEDLES = 12
"""Trackers of each store whose name has `NEEDLE` in it, spread evenly."""
NEEDLE = "Nordlicht"
_WORDS = ("Spring", "Summer", "Autumn", "Winter", "Brand", "Video", "Native", "Prospecting", "Retargeting", "Launch")
_CHUNK = 500
"""Rows of a transaction; PostgreSQL keeps all that one of them wrote over."""
_START = datetime(2025, 1, 1, tzinfo=UTC)


def row(number: int, size: int, links: dict[str, int]) -> dict[str, Any]:
    """Tracker `number` of `size`: every tenth inactive, one a minute, a code for each."""
    words = " ".join(_WORDS[number // 10**place % 10] for place in range(3))
    word = f" {NEEDLE}" if number % (size // NEEDLES) == size // NEEDLES // 2 else ""
    return {
        "member_id": 1,
        **links,
        "code": f"T-{number}",
        "code_key": f"t-{number}",
        "name": f"{words}{word} {number:06}",
        "state": "inactive" if number % 10 == 0 else "active",
        "last_modified": (_START + timedelta(minutes=number)).strftime("%Y-%m-%d %H:%M:%S"),
        "doc": {},
    }


async def fill(store: AsyncEngine, size: int, links: dict[str, int]) -> None:
    """Adds `size` impression trackers with these owners (`advertiser_id`, `line_item_id`, `publisher_id`)."""
    for start in range(0, size, _CHUNK):
        rows = [row(number, size, links) for number in range(start, min(start + _CHUNK, size))]
        async with sql.writing(store) as connection:
            await connection.execute(insert(tables.imptracker), rows)
    if store.dialect.name == "postgresql":
        # What autovacuum does within a minute of such a load.
        async with store.connect() as connection:
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            await connection.execute(text("VACUUM ANALYZE"))
