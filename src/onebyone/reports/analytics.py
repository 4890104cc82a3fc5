"""Aggregated reports: groups of the rollup become rows with names, filtered by metrics, ordered and paged."""

from __future__ import annotations

import asyncio
import operator
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any, cast

from sqlalchemy.ext.asyncio import AsyncEngine

from onebyone.reports.columns import ANALYTICS, Dimension, GroupSums, Metric, format_number
from onebyone.reports.csv_file import CsvWriter, escape_formula
from onebyone.reports.object_names import NamesById, load_object_names
from onebyone.reports.report_request import ReportRequest
from onebyone.reports.request_filters import GroupFilter
from onebyone.reports.rollup_groups import Group, read_groups
from onebyone.runtime import sql

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
    """Write the rows of an aggregated report. Raise `ReportFailure` when it has too many groups."""
    known = ANALYTICS[request.report_type]
    dimensions = [column for name in request.columns if isinstance(column := known[name], Dimension)]
    keys = list(dict.fromkeys(dimension.key for dimension in dimensions))
    groups = await read_groups(report_store, member_id, request, keys)
    names: dict[str, NamesById] = {}
    async with sql.reading(config_store) as connection:
        for dimension in dimensions:
            if dimension.lookup and dimension.lookup[0] not in names:
                ids = {key[keys.index(dimension.key)] for key, _ in groups}
                names[dimension.lookup[0]] = await load_object_names(connection, member_id, dimension.lookup[0], ids)
    await asyncio.to_thread(_write_rows, request, keys, groups, names, writer)


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
