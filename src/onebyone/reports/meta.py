"""What can be asked for: the answer to GET /report?meta."""

from __future__ import annotations

from typing import Any

from onebyone.errors import Fault, Refused
from onebyone.reports.columns import ANALYTICS, FEEDS, Dimension, Metric
from onebyone.reports.time_ranges import INTERVALS


def describe(report_type: str) -> dict[str, Any]:
    """One report type, or all by name when it is empty. Raises `DomainError`."""
    if not report_type:
        return {name: describe(name) for name in (*ANALYTICS, *FEEDS)}
    if report_type in ANALYTICS:
        columns = ANALYTICS[report_type].values()
        return {
            "time_granularity": "hourly",
            "columns": [{"column": column.name, "type": column.type} for column in columns],
            "filters": [
                {"column": column.name, "type": column.type}
                for column in columns
                if isinstance(column, Dimension) and column.filterable
            ],
            "havings": [{"column": column.name} for column in columns if isinstance(column, Metric)],
            "time_intervals": list(INTERVALS),
        }
    if report_type in FEEDS:
        return {
            "time_granularity": "hourly",
            "columns": [{"column": column.name, "type": column.type} for column in FEEDS[report_type].values()],
            "filters": [],
            "havings": [],
            "time_intervals": [],
        }
    raise Refused(Fault("meta", f"no report type {report_type[:40]!r}"))
