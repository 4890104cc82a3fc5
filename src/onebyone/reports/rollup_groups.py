"""Reads the hourly rollup for an aggregated report, grouped by the ids and local times that its columns need."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from sqlalchemy import ColumnElement, case, func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from onebyone.contracts.money import NANOS
from onebyone.report_store.tables import hourly
from onebyone.reports.columns import ANALYTICS, IMP_TYPES, Dimension, GroupSums
from onebyone.reports.counted_rows import counted_rows
from onebyone.reports.failure import ReportFailure
from onebyone.reports.local_time import local_hour_sql, local_month_sql
from onebyone.reports.report_request import ReportRequest
from onebyone.reports.time_ranges import DAY, HOUR, TimeRange
from onebyone.runtime import sql

GROUPS_MAX = 500_000
"""Groups of one report: they are sorted in memory, some 500 bytes each."""

Group = tuple[tuple[Any, ...], GroupSums]
"""Values of the group's keys, and its sums."""


async def read_groups(
    report_store: AsyncEngine, member_id: int, request: ReportRequest, keys: Sequence[str]
) -> list[Group]:
    """Return the groups of the requested time range and filters. Raise `ReportFailure` for more than `GROUPS_MAX`."""
    own = counted_rows(member_id)
    async with sql.reading(report_store) as connection:
        first = (await connection.execute(select(func.min(hourly.c.hour)).where(own))).scalar()
        last = (await connection.execute(select(func.max(hourly.c.hour)).where(own))).scalar()
        if first is None or last is None:
            return []
        # Narrow the range to hours that exist: the SQL of local times grows with it, and `lifetime` has decades.
        asked = request.time_range
        time_range = TimeRange(max(asked.start, first), min(asked.end, last + HOUR), asked.zone)
        if time_range.start >= time_range.end:
            return []
        key_columns = {f"by_{key}": _key_sql(key, time_range) for key in keys}
        query = (
            select(*(column.label(label) for label, column in key_columns.items()), *_sum_columns())
            .where(own, hourly.c.hour >= time_range.start, hourly.c.hour < time_range.end)
            .where(*(_filter_sql(request, name, values) for name, values in request.filters.items()))
            .group_by(*key_columns)
            .limit(GROUPS_MAX + 1)
        )
        rows = (await connection.execute(query)).all()
    if len(rows) > GROUPS_MAX:
        raise ReportFailure(f"the report has more than {GROUPS_MAX} rows; ask for fewer columns or less time")
    key_count = len(keys)
    # Without keys, SQL returns one row of nulls when there are no events.
    return [(tuple(row[:key_count]), _group_sums(*row[key_count:])) for row in rows if row[key_count] is not None]


def _key_sql(key: str, time_range: TimeRange) -> ColumnElement[Any]:
    match key:
        case "hour":
            return local_hour_sql(hourly.c.hour, time_range)
        case "day":
            return local_hour_sql(hourly.c.hour, time_range) // DAY
        case "month":
            return local_month_sql(hourly.c.hour, time_range)
        case _:
            column: ColumnElement[Any] = hourly.c[key]
            return column


def _sum_columns() -> list[ColumnElement[Any]]:
    events = hourly.c.events
    return [
        func.sum(case((hourly.c.kind == "imp", events), else_=0)),
        func.sum(case((hourly.c.kind == "clk", events), else_=0)),
        func.sum(hourly.c.cost_units),
        func.sum(hourly.c.cost_nanos),
        func.sum(hourly.c.revenue_units),
        func.sum(hourly.c.revenue_nanos),
    ]


def _group_sums(
    imps: Any, clicks: Any, cost_units: Any, cost_nanos: Any, revenue_units: Any, revenue_nanos: Any
) -> GroupSums:
    cost = int(cost_units) * NANOS + int(cost_nanos)
    revenue = int(revenue_units) * NANOS + int(revenue_nanos)
    return GroupSums(int(imps), int(clicks), cost, revenue)


def _filter_sql(request: ReportRequest, name: str, values: Sequence[int]) -> ColumnElement[bool]:
    dimension = cast("Dimension", ANALYTICS[request.report_type][name])
    if dimension.key == "kind":
        return hourly.c.kind.in_([kind for kind, texts in IMP_TYPES.items() if texts[0] in values])
    return hourly.c[dimension.key].in_(values)
