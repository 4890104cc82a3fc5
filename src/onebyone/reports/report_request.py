"""A request for one report, checked as a whole: every fault is reported, each with its field."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import orjson

from onebyone.errors import raise_faults
from onebyone.reports.column_permissions import LimitedKind, hidden_columns, known_columns
from onebyone.reports.columns import FEEDS, REPORT_TYPES
from onebyone.reports.request_fields import RequestFields
from onebyone.reports.request_filters import (
    GroupFilter,
    read_columns,
    read_filters,
    read_group_filters,
    read_orders,
)
from onebyone.reports.request_time import read_time_range
from onebyone.reports.time_ranges import TimeRange

FORMATS = ("csv", "excel")
DECIMAL_TYPES = ("decimal", "comma")
NAME_LENGTH = 255
"""Characters of a report's name, as of every other object's."""

_REFUSED_BY_FEEDS = ("filters", "group_filters", "orders")
FIELDS = (
    "name",
    "report_type",
    "columns",
    "report_interval",
    "start_date",
    "end_date",
    "timezone",
    *_REFUSED_BY_FEEDS,
    "format",
    "offset",
    "num_elements",
    "reporting_decimal_type",
    "escape_fields",
)
"""Fields of a request; each is echoed as it was sent."""


@dataclass(frozen=True, slots=True)
class ReportRequest:
    """A checked request for one report."""

    report_type: str
    columns: tuple[str, ...]
    time_range: TimeRange
    filters: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    group_filters: tuple[GroupFilter, ...] = ()
    orders: tuple[tuple[str, bool], ...] = ()
    """(column, descending)."""
    excel: bool = False
    """Tab-separated text instead of CSV."""
    decimal_comma: bool = False
    quote_all: bool = False
    offset: int = 0
    limit: int | None = None
    echo: Mapping[str, Any] = field(default_factory=dict)
    """The known fields of the request, as they were sent."""


def parse_report_request(
    request_fields: Mapping[str, Any],
    owners: Mapping[str, str | int],
    now_ms: int,
    kind: LimitedKind | None = None,
) -> ReportRequest:
    """Return the checked request; unknown fields are ignored (`unknown_fields.py` warns of them).

    `owners` are filters given apart from the fields (`request_filters.OWNERS`), `kind` is what the caller is limited
    to: a column that such a user may not name is a fault. Raise `Refused` with every fault.
    """
    fields = RequestFields(request_fields)
    report_type = fields.read_choice("report_type", REPORT_TYPES, None)
    feed = report_type in FEEDS
    known, hidden = known_columns(report_type), hidden_columns(report_type, kind)
    columns = read_columns(fields, known, hidden) if known else ()
    if feed:
        for name in _REFUSED_BY_FEEDS:
            if fields.get(name):
                fields.add_fault(name, f"not allowed for {report_type}")
    options = {
        "filters": {} if feed else read_filters(fields, owners, known, hidden),
        "group_filters": () if feed else read_group_filters(fields, known, hidden),
        "orders": () if feed else read_orders(fields, columns, hidden),
        "excel": fields.read_choice("format", FORMATS, "csv") == "excel",
        "decimal_comma": fields.read_choice("reporting_decimal_type", DECIMAL_TYPES, "decimal") == "comma",
        "quote_all": fields.read_boolean("escape_fields"),
        "offset": fields.read_count("offset", 0, 0) or 0,
        "limit": fields.read_count("num_elements", 1, None),
    }
    _check_name(fields)
    time_range = read_time_range(fields, now_ms, feed=feed)
    echo = {name: fields.get(name) for name in FIELDS if name in fields}
    _check_storable(fields, echo)
    raise_faults(fields.faults)
    checked = cast("TimeRange", time_range)
    return ReportRequest(report_type, columns, checked, echo=echo, **cast("dict[str, Any]", options))


def _check_name(fields: RequestFields) -> None:
    name = fields.get("name", "")
    if not isinstance(name, str) or len(name) > NAME_LENGTH or not name.isprintable():
        fields.add_fault("name", f"must be a text of at most {NAME_LENGTH} printable characters")


def _check_storable(fields: RequestFields, echo: Mapping[str, Any]) -> None:
    """Add a fault when the store could not hold the echoed fields as JSON: PostgreSQL refuses a NUL."""
    try:
        if b"\\u0000" in orjson.dumps(echo):
            fields.add_fault("report", "holds a NUL")
    except TypeError:
        fields.add_fault("report", "is nested too deeply")
