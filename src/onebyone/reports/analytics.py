"""Aggregated reports: the rollup grouped by the ids and times of the columns, then names, conditions, order, page."""

from __future__ import annotations

import asyncio
import operator
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any, cast

from sqlalchemy import ColumnElement, case, func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from onebyone.contracts.money import NANOS
from onebyone.report_store.tables import hourly
from onebyone.reports.columns import ANALYTICS, IMP_TYPES, Dimension, GroupSums, Metric, format_number
from onebyone.reports.csv_file import CsvWriter, escape_formula
from onebyone.reports.failure import ReportFailure
from onebyone.reports.object_names import NamesById, load_object_names
from onebyone.reports.report_request import ReportRequest
from onebyone.reports.request_filters import GroupFilter
from onebyone.reports.time_ranges import DAY, HOUR, TimeRange, local_hour_sql, local_month_sql
from onebyone.runtime import sql

GROUPS_MAX = 500_000
"""Groups of one report: they are sorted in memory, some 500 bytes each."""

Group = tuple[tuple[Any, ...], GroupSums]
"""Values of the group's keys, and its sums."""
_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "=": operator.eq,
    "!=": operator.ne,
}


async def write_analytics(
    config_store: AsyncEngine, report_store: AsyncEngine, member_id: int, request: ReportRequest, writer: CsvWriter
) -> None:
    """Write the rows of an aggregated report. Raise `ReportFailure` for more than `GROUPS_MAX` groups."""
    known = ANALYTICS[request.report_type]
    dimensions = [column for name in request.columns if isinstance(column := known[name], Dimension)]
    keys = list(dict.fromkeys(dimension.key for dimension in dimensions))
    groups = await _read_groups(report_store, member_id, request, keys)
    names: dict[str, NamesById] = {}
    async with sql.reading(config_store) as connection:
        for dimension in dimensions:
            if dimension.lookup and dimension.lookup[0] not in names:
                ids = {key[keys.index(dimension.key)] for key, _ in groups}
                names[dimension.lookup[0]] = await load_object_names(connection, member_id, dimension.lookup[0], ids)
    await asyncio.to_thread(_write_rows, request, keys, groups, names, writer)


async def _read_groups(
    report_store: AsyncEngine, member_id: int, request: ReportRequest, keys: Sequence[str]
) -> list[Group]:
    own = hourly.c.member_id == member_id
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


def _write_rows(
    request: ReportRequest,
    keys: Sequence[str],
    groups: Sequence[Group],
    names: Mapping[str, NamesById],
    writer: CsvWriter,
) -> None:
    known = ANALYTICS[request.report_type]
    dimensions = [column for name in request.columns if isinstance(column := known[name], Dimension)]
    merged: dict[tuple[int | str, ...], GroupSums] = {}
    for key_values, sums in groups:
        row_key = tuple(
            _dimension_value(dimension, key_values[keys.index(dimension.key)], names) for dimension in dimensions
        )
        # Groups that look alike become one row: objects of one name, or the hour that a clock shows twice.
        before = merged.get(row_key)
        merged[row_key] = sums if before is None else GroupSums(*(a + b for a, b in zip(before, sums, strict=True)))
    position = {dimension.name: index for index, dimension in enumerate(dimensions)}

    def cell_value(row: Group, name: str) -> Any:
        column = known[name]
        return column.value(row[1]) if isinstance(column, Metric) else row[0][position[name]]

    def format_cell(row: Group, name: str) -> str:
        column = known[name]
        value = cell_value(row, name)
        if isinstance(column, Metric):
            text = format_number(value, column.type)
            return text.replace(".", ",") if request.decimal_comma else text
        return escape_formula(value) if column.type == "string" else str(value)

    rows = [row for row in merged.items() if all(_meets(known, row[1], each) for each in request.group_filters)]
    rows.sort(key=lambda row: row[0])
    for name, descending in reversed(request.orders):
        rows.sort(key=lambda row: cell_value(row, name), reverse=descending)
    end = None if request.limit is None else request.offset + request.limit
    writer.write_rows([[format_cell(row, name) for name in request.columns] for row in rows[request.offset : end]])


def _dimension_value(dimension: Dimension, key_value: Any, names: Mapping[str, NamesById]) -> int | str:
    if dimension.lookup is None:
        return dimension.format(key_value)
    kind, field = dimension.lookup
    return names[kind].get(key_value, {}).get(field, "")


def _meets(known: Mapping[str, Dimension | Metric], sums: GroupSums, condition: GroupFilter) -> bool:
    metric = cast("Metric", known[condition.column])
    return _COMPARE[condition.operator](metric.value(sums), Fraction(condition.value) * metric.scale)
