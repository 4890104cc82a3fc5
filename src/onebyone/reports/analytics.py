"""Aggregated reports: the rollup grouped by the ids and times of the columns, then names, conditions, order, page."""

from __future__ import annotations

import asyncio
import operator
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any, cast

from sqlalchemy import ColumnElement, case, func, select

from onebyone.contracts.money import NANOS
from onebyone.report_store.tables import hourly
from onebyone.reports import names
from onebyone.reports.columns import ANALYTICS, IMP_TYPES, Dimension, Metric, Sums, show_number
from onebyone.reports.failure import ReportFailure
from onebyone.reports.report_request import Condition, Demand
from onebyone.reports.table import TableWriter, guard
from onebyone.reports.time_ranges import DAY, HOUR, Window, local_hours, local_months
from onebyone.resources.context import ApiContext
from onebyone.runtime import sql

GROUPS_MAX = 500_000
"""Groups that one report may have before it is refused as too large."""

Group = tuple[tuple[Any, ...], Sums]
_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "=": operator.eq,
    "!=": operator.ne,
}


async def write(context: ApiContext, member_id: int, demand: Demand, table: TableWriter) -> None:
    """Writes the rows of an aggregated report. Raises `ReportFailure`."""
    known = ANALYTICS[demand.report_type]
    columns = [known[name] for name in demand.columns]
    dimensions = [column for column in columns if isinstance(column, Dimension)]
    keys = list(dict.fromkeys(dimension.key for dimension in dimensions))
    groups = await _groups(context, member_id, demand, keys)
    lookups: dict[str, names.Names] = {}
    async with sql.reading(context.store) as connection:
        for dimension in dimensions:
            if dimension.lookup and dimension.lookup[0] not in lookups:
                ids = {key[keys.index(dimension.key)] for key, _ in groups}
                lookups[dimension.lookup[0]] = await names.find(connection, member_id, dimension.lookup[0], ids)
    await asyncio.to_thread(_write, demand, keys, groups, lookups, table)


async def _groups(context: ApiContext, member_id: int, demand: Demand, keys: Sequence[str]) -> list[Group]:
    own = hourly.c.member_id == member_id
    async with sql.reading(context.report_store) as connection:
        first = (await connection.execute(select(func.min(hourly.c.hour)).where(own))).scalar()
        last = (await connection.execute(select(func.max(hourly.c.hour)).where(own))).scalar()
        if first is None or last is None:
            return []
        # Only hours that exist need a name: a lifetime has a hundred years of them.
        window = Window(max(demand.window.start, first), min(demand.window.end, last + HOUR), demand.window.zone)
        if window.start >= window.end:
            return []
        grouped = {f"by_{key}": _expression(key, window) for key in keys}
        query = (
            select(*(expression.label(name) for name, expression in grouped.items()), *_sums())
            .where(own, hourly.c.hour >= window.start, hourly.c.hour < window.end)
            .where(*(_condition(demand, name, values) for name, values in demand.filters.items()))
            .group_by(*grouped)
            .limit(GROUPS_MAX + 1)
        )
        rows = (await connection.execute(query)).all()
    if len(rows) > GROUPS_MAX:
        raise ReportFailure(f"the report has more than {GROUPS_MAX} rows; ask for fewer columns or less time")
    count = len(keys)
    return [
        (tuple(row[:count]), Sums(int(imps), int(clicks), int(cost) * NANOS + int(cents), int(due) * NANOS + int(rest)))
        for row in rows
        for imps, clicks, cost, cents, due, rest in [row[count:]]
        if imps is not None
    ]


def _expression(key: str, window: Window) -> ColumnElement[Any]:
    match key:
        case "hour":
            return local_hours(hourly.c.hour, window)
        case "day":
            return local_hours(hourly.c.hour, window) // DAY
        case "month":
            return local_months(hourly.c.hour, window)
        case _:
            column: ColumnElement[Any] = hourly.c[key]
            return column


def _sums() -> list[ColumnElement[Any]]:
    events = hourly.c.events
    return [
        func.sum(case((hourly.c.kind == "imp", events), else_=0)),
        func.sum(case((hourly.c.kind == "clk", events), else_=0)),
        func.sum(hourly.c.cost_units),
        func.sum(hourly.c.cost_nanos),
        func.sum(hourly.c.revenue_units),
        func.sum(hourly.c.revenue_nanos),
    ]


def _condition(demand: Demand, name: str, values: Sequence[int]) -> ColumnElement[bool]:
    dimension = cast("Dimension", ANALYTICS[demand.report_type][name])
    if dimension.key == "kind":
        return hourly.c.kind.in_([kind for kind, shown in IMP_TYPES.items() if shown[0] in values])
    return hourly.c[dimension.key].in_(values)


def _write(
    demand: Demand, keys: Sequence[str], groups: Sequence[Group], lookups: Mapping[str, names.Names], table: TableWriter
) -> None:
    known = ANALYTICS[demand.report_type]
    dimensions = [column for name in demand.columns if isinstance(column := known[name], Dimension)]
    merged: dict[tuple[int | str, ...], Sums] = {}
    for values, sums in groups:
        key = tuple(_value(dimension, values[keys.index(dimension.key)], lookups) for dimension in dimensions)
        # Groups that look alike are one row: objects of one name, or the hour that a clock shows twice.
        before = merged.get(key)
        merged[key] = sums if before is None else Sums(*(a + b for a, b in zip(before, sums, strict=True)))
    position = {dimension.name: index for index, dimension in enumerate(dimensions)}

    def cell(row: Group, name: str) -> Any:
        column = known[name]
        return column.value(row[1]) if isinstance(column, Metric) else row[0][position[name]]

    rows = [row for row in merged.items() if all(_holds(known, row[1], condition) for condition in demand.conditions)]
    rows.sort(key=lambda row: row[0])
    for name, descending in reversed(demand.orders):
        rows.sort(key=lambda row: cell(row, name), reverse=descending)
    end = None if demand.limit is None else demand.offset + demand.limit
    rows = rows[demand.offset : end]
    comma = demand.decimal_comma

    def shown(row: Group, name: str) -> str:
        column = known[name]
        if isinstance(column, Metric):
            text = show_number(column.value(row[1]), column.type)
            return text.replace(".", ",") if comma else text
        value = row[0][position[name]]
        return guard(value) if column.type == "string" else str(value)

    table.rows([[shown(row, name) for name in demand.columns] for row in rows])


def _value(dimension: Dimension, value: Any, lookups: Mapping[str, names.Names]) -> int | str:
    if dimension.lookup is None:
        return dimension.show(value)
    kind, field = dimension.lookup
    return lookups[kind].get(value, {}).get(field, "")


def _holds(known: Mapping[str, Dimension | Metric], sums: Sums, condition: Condition) -> bool:
    metric = cast("Metric", known[condition.column])
    return _COMPARE[condition.operator](metric.value(sums), Fraction(condition.value) * metric.scale)
