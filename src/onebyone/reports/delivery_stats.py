"""What the report store has counted for line items: when they ran, and what they made."""

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
from onebyone.runtime import sql

CHUNK = 500
INTERVALS = ("today", "yesterday", "last_7_days", time_ranges.LIFETIME)
"""Intervals of `all_stats`."""


class Run(NamedTuple):
    """Epoch seconds of the hours of the first and the last impression."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Counts:
    """The counted events of one member, as far as the counter is."""

    engine: AsyncEngine
    member_id: int
    now_ms: int

    async def runs(self, line_items: Sequence[int]) -> dict[int, Run]:
        """The line items of these that had an impression, with their run."""
        found: dict[int, Run] = {}
        async for rows in self._chunks(line_items, _edges):
            found |= {row.id: Run(row.first, row.last) for row in rows if row.first is not None}
        return found

    async def stats(self, line_items: Sequence[int]) -> dict[int, list[dict[str, Any]]]:
        """Sums of each line item by interval; days are days of UTC."""
        found: dict[int, list[dict[str, Any]]] = {line_item: [] for line_item in line_items}
        for interval in INTERVALS:
            span = time_ranges.named(interval, self.now_ms, ZoneInfo("UTC"))
            within = (hourly.c.hour >= span.start, hourly.c.hour < span.end)
            sums: dict[int, dict[str, Any]] = {}
            async for rows in self._chunks(line_items, _sums, *within):
                sums |= {line_item: _stats(*map(int, rest)) for line_item, *rest in rows}
            for line_item, intervals in found.items():
                intervals.append({"interval": interval, **sums.get(line_item, _stats(0, 0, 0, 0, 0, 0))})
        return found

    async def _chunks(self, line_items: Sequence[int], query: Any, *where: Any) -> AsyncIterator[Sequence[Any]]:
        async with sql.reading(self.engine) as connection:
            for start in range(0, len(line_items), CHUNK):
                ids = line_items[start : start + CHUNK]
                yield (await connection.execute(query(self.member_id, ids, *where))).all()


def _edges(member_id: int, ids: Sequence[int]) -> Any:
    # One step into the index for each end of each line item: grouping would read every hour between them.
    wanted = values(column("id", BigInteger), name="wanted").data([(row_id,) for row_id in ids]).cte()
    own = (hourly.c.member_id == member_id, hourly.c.kind == "imp", hourly.c.line_item_id == wanted.c.id)
    first, last = (
        select(end(hourly.c.hour)).where(*own).correlate(wanted).scalar_subquery() for end in (func.min, func.max)
    )
    return select(wanted.c.id, first.label("first"), last.label("last"))


def _sums(member_id: int, ids: Sequence[int], *where: Any) -> Any:
    events = hourly.c.events
    return (
        select(
            hourly.c.line_item_id,
            func.sum(case((hourly.c.kind == "imp", events), else_=0)),
            func.sum(case((hourly.c.kind == "clk", events), else_=0)),
            *(func.sum(hourly.c[f"{kind}_{part}"]) for kind in ("cost", "revenue") for part in ("units", "nanos")),
        )
        .where(hourly.c.member_id == member_id, hourly.c.line_item_id.in_(ids), *where)
        .group_by(hourly.c.line_item_id)
    )


def _stats(imps: int, clicks: int, cost: int, cost_nanos: int, revenue: int, revenue_nanos: int) -> dict[str, Any]:
    spent, earned = cost * NANOS + cost_nanos, revenue * NANOS + revenue_nanos
    return {
        "imps": imps,
        "clicks": clicks,
        "ctr": clicks / imps if imps else 0,
        "media_cost": spent / NANOS,
        "booked_revenue": earned / NANOS,
        "profit": (earned - spent) / NANOS,
    }
