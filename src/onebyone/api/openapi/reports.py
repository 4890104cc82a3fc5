"""The operations of reports, with every column of every report type."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, get_args

from onebyone.api.openapi.envelopes import ERROR, closed, responses, success
from onebyone.api.openapi.fields import MOMENT, Schema, nullable
from onebyone.api.openapi.nested import FLAG, INTEGER, TEXT
from onebyone.api.openapi.parameters import parameter
from onebyone.api.openapi.services import operation
from onebyone.reports import report_request, request_fields, request_filters, request_time
from onebyone.reports.columns import ANALYTICS, FEEDS, REPORT_TYPES, Dimension, Metric
from onebyone.reports.run_store import RunStatus
from onebyone.reports.time_ranges import INTERVALS

_ID: Schema = {"type": "string", "pattern": "^[0-9a-f]{32}$"}
_HOUR: Schema = {
    "type": "string",
    "pattern": "^20[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])( ([01][0-9]|2[0-3]):00(:00)?)?$",
    "examples": ["2026-03-01", "2026-03-01 10:00:00"],
}
_INTEGERS: Schema = {
    "anyOf": [INTEGER, {"type": "array", "items": INTEGER, "minItems": 1, "maxItems": request_filters.FILTER_VALUES}]
}


def paths() -> dict[str, Schema]:
    """Path -> operations."""
    return {
        "/report": {"post": _order(), "get": _status()},
        "/report-download": {"get": _download()},
    }


def _names(columns: Iterable[str]) -> Schema:
    return {"type": "string", "enum": list(columns)}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items, "maxItems": request_fields.LIST_LENGTH}


def _common(report_type: str, columns: Iterable[str]) -> Schema:
    return {
        "report_type": {"const": report_type},
        "columns": {**_list(_names(columns)), "minItems": 1, "uniqueItems": True},
        "start_date": _HOUR,
        "end_date": {**_HOUR, "description": "Exclusive."},
        "timezone": {"$ref": "#/components/schemas/TimeZone"},
        "name": {"type": "string", "maxLength": report_request.NAME_LENGTH},
        "format": _names(report_request.FORMATS),
        "reporting_decimal_type": _names(report_request.DECIMAL_TYPES),
        "escape_fields": FLAG,
        "offset": {"type": "integer", "minimum": 0},
        "num_elements": {"type": "integer", "minimum": 1},
    }


def _aggregated(report_type: str) -> Schema:
    columns = ANALYTICS[report_type]
    filters = [name for name, column in columns.items() if isinstance(column, Dimension) and column.filterable]
    metrics = [name for name, column in columns.items() if isinstance(column, Metric)]
    having = closed({"operator": _names(request_filters.OPERATORS), "value": {"type": "number"}})
    properties: Schema = {
        **_common(report_type, columns),
        "report_interval": {**_names(INTERVALS), "description": "This, or `start_date` and `end_date`."},
        "filters": _list({"type": "object", "properties": dict.fromkeys(filters, _INTEGERS), "maxProperties": 1}),
        "group_filters": _list({"type": "object", "properties": dict.fromkeys(metrics, having), "maxProperties": 1}),
        "orders": _list(
            {
                "type": "object",
                "properties": {"order_by": _names(columns), "direction": _names(("ASC", "DESC"))},
                "required": ["order_by"],
            }
        ),
    }
    return {"type": "object", "properties": properties, "required": ["report_type", "columns"]}


def _feed(report_type: str) -> Schema:
    return {
        "type": "object",
        "description": (
            f"One row an event. At most {request_time.FEED_HOURS} hours of the last {request_time.FEED_DAYS} days; "
            "no filters."
        ),
        "properties": _common(report_type, FEEDS[report_type]),
        "required": ["report_type", "columns", "start_date", "end_date"],
    }


def _order() -> Schema:
    kinds = [*map(_aggregated, ANALYTICS), *map(_feed, FEEDS)]
    body: Schema = {
        "type": "object",
        "properties": {"report": {"oneOf": kinds}},
        "required": ["report"],
        "examples": [
            {
                "report": {
                    "report_type": "network_analytics",
                    "columns": ["day", "line_item_id", "imps", "clicks", "revenue"],
                    "report_interval": "last_7_days",
                }
            }
        ],
    }
    owners = [
        parameter(name, "Only of this one.", {"type": "integer", "minimum": 0}) for name in request_filters.OWNERS
    ]
    more = {
        "parameters": owners,
        "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
        "responses": responses(success({"report_id": _ID})),
    }
    return operation("report", "order", "Orders a report", more)


def _status() -> Schema:
    shown: Schema = {
        "name": nullable(TEXT),
        "created_on": MOMENT,
        "cache_hit": FLAG,
        "fact_cache_hit": FLAG,
        "json_request": TEXT,
        "header_info": TEXT,
        "report_size": nullable(TEXT),
        "row_count": nullable(TEXT),
        "url": TEXT,
        "data": {"type": "null"},
    }
    report = {**closed(shown), "properties": {**shown, "error": TEXT}}
    status = _names(get_args(RunStatus))
    column = {"type": "object", "properties": {"column": TEXT, "type": TEXT}, "required": ["column"]}
    of_type = closed(
        {
            "time_granularity": TEXT,
            **{name: {"type": "array", "items": column} for name in ("columns", "filters", "havings")},
            "time_intervals": {"type": "array", "items": TEXT},
        }
    )
    of_all = {"type": "object", "additionalProperties": of_type, "propertyNames": _names(REPORT_TYPES)}
    more = {
        "parameters": [
            parameter("id", "The report.", _ID),
            parameter("meta", "What can be ordered: all, or of this report type.", _names(("", *REPORT_TYPES))),
        ],
        "responses": responses(
            success({"report": report, "execution_status": status}),
            success({"meta": {"anyOf": [of_type, of_all]}}),
        ),
    }
    return operation("report", "get", "How a report is doing, or what can be ordered", more)


def _download() -> Schema:
    found: dict[str, Any] = responses(description="The file, or an error in an envelope.")
    found["200"]["content"] = {
        "text/csv": {"schema": TEXT},
        "text/tab-separated-values": {"schema": TEXT},
        "application/json": {"schema": ERROR},
    }
    found["200"]["headers"] |= {"Content-Disposition": {"description": "The name of the file.", "schema": TEXT}}
    found["404"] = {"$ref": "#/components/responses/NotFound"}
    more = {"parameters": [parameter("id", "The report.", _ID)], "responses": found}
    return operation("report-download", "get", "The finished report as CSV or tab-separated text", more)
