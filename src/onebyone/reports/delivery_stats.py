"""Delivery of line items as counted so far: the hours in which they first and last ran, and sums by interval."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy import BigInteger, case, column, func, select, values
from sqlalchemy.ext.asyncio import AsyncEngine

from onebyone.contracts.money import NANOS
from onebyone.report_store.tables import hourly
from onebyone.reports import time_ranges
from onebyone.reports.counted_rows import counted_rows
from onebyone.runtime import sql

IDS_PER_QUERY = 500
"""Line items of one statement: each id is a parameter, and SQLite may be built to allow only 999 of them."""
INTERVALS = ("today", "yesterday", "last_7_days", time_ranges.LIFETIME)
"""Intervals of the documented field `all_stats`, in its order."""


class RunHours(NamedTuple):
    """Starts of the hours of the first and the last impression, in epoch seconds."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class DeliveryStats:
    """Reads what the counter has committed for one member."""

    engine: AsyncEngine
    member_id: int
    now_ms: int

    async def run_hours(self, line_items: Sequence[int]) -> dict[int, RunHours]:
        """Return the run of each of these line items, by id; one without an impression is left out."""
        runs: dict[int, RunHours] = {}
        async for rows in self._query_in_chunks(line_items, _run_hours_query):
            runs |= {row.id: RunHours(row.first, row.last) for row in rows if row.first is not None}
        return runs

    async def interval_stats(self, line_items: Sequence[int]) -> dict[int, list[dict[str, Any]]]:
        """Return the sums of each line item, one element an interval of `INTERVALS`; a day is a day of UTC."""
        stats: dict[int, list[dict[str, Any]]] = {line_item: [] for line_item in line_items}
        for interval in INTERVALS:
            time_range = time_ranges.range_of_interval(interval, self.now_ms, ZoneInfo("UTC"))
            in_range = (hourly.c.hour >= time_range.start, hourly.c.hour < time_range.end)
            sums: dict[int, dict[str, Any]] = {}
            async for rows in self._query_in_chunks(line_items, _sums_query, *in_range):
                sums |= {line_item: _stats_element(*map(int, columns)) for line_item, *columns in rows}
            for line_item, elements in stats.items():
                elements.append({"interval": interval, **sums.get(line_item, _stats_element(0, 0, 0, 0, 0, 0))})
        return stats

    async def _query_in_chunks(
        self, line_items: Sequence[int], build_query: Any, *where: Any
    ) -> AsyncIterator[Sequence[Any]]:
        async with sql.reading(self.engine) as connection:
            for start in range(0, len(line_items), IDS_PER_QUERY):
                ids = line_items[start : start + IDS_PER_QUERY]
                yield (await connection.execute(build_query(self.member_id, ids, *where))).all()


def _run_hours_query(member_id: int, ids: Sequence[int]) -> Any:
    # Two index lookups a line item, one for each end of its run: grouping would read every hour between them.
    wanted = values(column("id", BigInteger), name="wanted").data([(row_id,) for row_id in ids]).cte()
    own = (counted_rows(member_id), hourly.c.kind == "imp", hourly.c.line_item_id == wanted.c.id)
    first, last = (
        select(end(hourly.c.hour)).where(*own).correlate(wanted).scalar_subquery() for end in (func.min, func.max)
    )
    return select(wanted.c.id, first.label("first"), last.label("last"))


def _sums_query(member_id: int, ids: Sequence[int], *where: Any) -> Any:
    events = hourly.c.events
    return (
        select(
            hourly.c.line_item_id,
            func.sum(case((hourly.c.kind == "imp", events), else_=0)),
            func.sum(case((hourly.c.kind == "clk", events), else_=0)),
            *(func.sum(hourly.c[f"{kind}_{part}"]) for kind in ("cost", "revenue") for part in ("units", "nanos")),
        )
        .where(counted_rows(member_id), hourly.c.line_item_id.in_(ids), *where)
        .group_by(hourly.c.line_item_id)
    )


def _stats_element(
    imps: int, clicks: int, cost_units: int, cost_nanos: int, revenue_units: int, revenue_nanos: int
) -> dict[str, Any]:
    cost, revenue = cost_units * NANOS + cost_nanos, revenue_units * NANOS + revenue_nanos
    return {
        "imps": imps,
        "clicks": clicks,
        "ctr": clicks / imps if imps else 0,
        "media_cost": cost / NANOS,
        "booked_revenue": revenue / NANOS,
        "profit": (revenue - cost) / NANOS,
    }
