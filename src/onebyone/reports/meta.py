"""What each report type offers: its columns, filters, conditions and intervals."""

from __future__ import annotations

from dataclasses import dataclass

from onebyone.reports.column_permissions import LimitedKind, permitted_columns
from onebyone.reports.columns import FEEDS, ColumnType, Dimension, Metric
from onebyone.reports.time_ranges import INTERVALS


@dataclass(frozen=True, slots=True)
class ReportTypeMeta:
    """What can be asked of one report type; columns and filters map a name to its type."""

    columns: dict[str, ColumnType]
    filters: dict[str, ColumnType]
    group_filters: tuple[str, ...]
    intervals: tuple[str, ...]
    granularity: str = "hourly"


def describe_report_type(report_type: str, kind: LimitedKind | None) -> ReportTypeMeta:
    """Return what one of `columns.REPORT_TYPES` offers to a user of this kind."""
    columns = permitted_columns(report_type, kind).values()
    if report_type in FEEDS:
        return ReportTypeMeta({column.name: column.type for column in columns}, {}, (), ())
    return ReportTypeMeta(
        columns={column.name: column.type for column in columns},
        filters={column.name: column.type for column in columns if isinstance(column, Dimension) and column.filterable},
        group_filters=tuple(column.name for column in columns if isinstance(column, Metric)),
        intervals=INTERVALS,
    )
