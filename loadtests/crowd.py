"""Fill a store with any number of trackers of one advertiser, without the API."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncEngine

from onebyone.config_store import tables
from onebyone.runtime import sql

NEEDLES = 12
"""Number of trackers in each store whose name contains `NEEDLE`, spread evenly."""
NEEDLE = "Nordlicht"
_WORDS = ("Spring", "Summer", "Autumn", "Winter", "Brand", "Video", "Native", "Prospecting", "Retargeting", "Launch")
_CHUNK = 500
"""Rows of a transaction, few enough that PostgreSQL does not keep many dead row versions at a time."""
_START = datetime(2025, 1, 1, tzinfo=UTC)


def tracker_row(number: int, size: int, links: dict[str, int]) -> dict[str, Any]:
    """Return tracker `number` of `size`, modified one minute after the one before; every tenth is inactive."""
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


async def fill_store(store: AsyncEngine, size: int, links: dict[str, int]) -> None:
    """Add `size` impression trackers with these owners (`advertiser_id`, `line_item_id`, `publisher_id`)."""
    for start in range(0, size, _CHUNK):
        rows = [tracker_row(number, size, links) for number in range(start, min(start + _CHUNK, size))]
        async with sql.writing(store) as connection:
            await connection.execute(insert(tables.imptracker), rows)
    if store.dialect.name == "postgresql":
        # Autovacuum does this within a minute of such a load.
        async with store.connect() as connection:
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            await connection.execute(text("VACUUM ANALYZE"))
