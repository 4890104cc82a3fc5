"""The operations of reports, with every column of every report type."""

from __future__ import annotations

from collections.abc import Iterable
from typing import get_args

from onebyone.api.openapi import examples
from onebyone.api.openapi.components import (
    FLAG,
    INTEGER,
    MOMENT,
    NULL,
    NUMBER,
    TEXT,
    Components,
    Schema,
    array,
    closed_object,
    enumeration,
    nullable,
    pascal_case,
)
from onebyone.api.openapi.envelopes import ERROR, add_success, responses
from onebyone.api.openapi.operations import json_body, operation
from onebyone.api.openapi.parameters import parameter
from onebyone.reports import report_request, request_fields, request_filters, request_time
from onebyone.reports.columns import ANALYTICS, FEEDS, REPORT_TYPES, Dimension, Metric
from onebyone.reports.run_store import RunStatus
from onebyone.reports.time_ranges import INTERVALS
from onebyone.resources.fields import TIME_ZONE

_ID: Schema = {"type": "string", "pattern": "^[0-9a-f]{32}$", "examples": ["0123456789abcdef0123456789abcdef"]}
_HOUR: Schema = {
    "type": "string",
    "pattern": "^20[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])([ T]([01][0-9]|2[0-3]):00(:00)?)?$",
    "examples": ["2026-03-01", "2026-03-01 10:00:00"],
}
_IDS: Schema = {"anyOf": [INTEGER, {**array(INTEGER), "minItems": 1, "maxItems": request_filters.FILTER_VALUES}]}


def report_paths(components: Components) -> dict[str, Schema]:
    """Return path -> operations."""
    return {
        "/report": {"post": _order(components), "get": _status(components)},
        "/report-download": {"get": _download()},
    }


def _some(items: Schema) -> Schema:
    return {**array(items), "maxItems": request_fields.LIST_LENGTH}


def _common_fields(components: Components, report_type: str, columns: Iterable[str]) -> Schema:
    column = components.add(f"{pascal_case(report_type)}Column", enumeration(columns))
    return {
        "report_type": {"const": report_type},
        "columns": {**_some(column), "minItems": 1, "uniqueItems": True},
        "start_date": _HOUR,
        "end_date": {**_HOUR, "description": "Exclusive."},
        "timezone": {**TEXT, **TIME_ZONE},
        "name": {"type": "string", "maxLength": report_request.NAME_LENGTH},
        "format": enumeration(report_request.FORMATS),
        "reporting_decimal_type": enumeration(report_request.DECIMAL_TYPES),
        "escape_fields": FLAG,
        "offset": {"type": "integer", "minimum": 0},
        "num_elements": {"type": "integer", "minimum": 1},
    }


def _analytics(components: Components, report_type: str) -> Schema:
    name = pascal_case(report_type)
    columns = ANALYTICS[report_type]
    dimensions = [key for key, column in columns.items() if isinstance(column, Dimension) and column.filterable]
    metrics = [key for key, column in columns.items() if isinstance(column, Metric)]
    condition = closed_object({"operator": enumeration(request_filters.OPERATORS), "value": NUMBER})
    having = components.add("ReportCondition", condition)
    filters = {"type": "object", "properties": dict.fromkeys(dimensions, _IDS), "maxProperties": 1}
    group_filters = {"type": "object", "properties": dict.fromkeys(metrics, having), "maxProperties": 1}
    direction = components.add("SortDirection", enumeration(("ASC", "DESC")))
    order = {
        "type": "object",
        "properties": {"order_by": {"$ref": f"#/components/schemas/{name}Column"}, "direction": direction},
        "required": ["order_by"],
    }
    request = {
        "type": "object",
        "properties": {
            **_common_fields(components, report_type, columns),
            "report_interval": {
                **enumeration(INTERVALS),
                "description": "This, or `start_date` and `end_date`.",
            },
            "filters": _some(components.add(f"{name}Filter", filters)),
            "group_filters": _some(components.add(f"{name}GroupFilter", group_filters)),
            "orders": _some(components.add(f"{name}Order", order)),
        },
        "required": ["report_type", "columns"],
    }
    return components.add(f"{name}Report", request, owner="Report")


def _feed(components: Components, report_type: str) -> Schema:
    request = {
        "type": "object",
        "description": (
            f"One row an event. At most {request_time.FEED_HOURS} hours of the last {request_time.FEED_DAYS} days; "
            "no filters."
        ),
        "properties": _common_fields(components, report_type, FEEDS[report_type]),
        "required": ["report_type", "columns", "start_date", "end_date"],
    }
    return components.add(f"{pascal_case(report_type)}Report", request, owner="Report")


def _order(components: Components) -> Schema:
    reports = [
        *(_analytics(components, report_type) for report_type in ANALYTICS),
        *(_feed(components, report_type) for report_type in FEEDS),
    ]
    body: Schema = {
        "type": "object",
        "properties": {"report": {"oneOf": reports}},
        "required": ["report"],
        "examples": [{"report": dict(examples.REPORT)}],
    }
    owners = [
        parameter(name, "Only of this one.", {"type": "integer", "minimum": 0}) for name in request_filters.OWNERS
    ]
    content = {
        "parameters": owners,
        "requestBody": json_body(components.add("ReportOrderRequest", body)),
        "responses": responses(add_success(components, "ReportOrder", {"report_id": _ID})),
    }
    return operation("order", "report", "Order a report", content)


def _status(components: Components) -> Schema:
    properties: Schema = {
        "name": nullable(TEXT),
        "created_on": MOMENT,
        "cache_hit": FLAG,
        "fact_cache_hit": FLAG,
        "json_request": TEXT,
        "header_info": TEXT,
        "report_size": nullable(TEXT),
        "row_count": nullable(TEXT),
        "url": TEXT,
        "data": NULL,
    }
    report = components.add("Report", closed_object(properties, {"error": TEXT}))
    status = components.add("ReportStatus", enumeration(get_args(RunStatus)))
    column = {"type": "object", "properties": {"column": TEXT, "type": TEXT}, "required": ["column"]}
    columns = array(components.add("ReportColumn", column))
    of_type = closed_object(
        {
            "time_granularity": TEXT,
            **dict.fromkeys(("columns", "filters", "havings"), columns),
            "time_intervals": array(TEXT),
        }
    )
    meta = components.add("ReportMeta", of_type)
    by_type = components.add(
        "ReportMetaByType", closed_object(dict.fromkeys(ANALYTICS, meta), dict.fromkeys(FEEDS, meta))
    )
    described = components.add("ReportMetaType", enumeration(("", *REPORT_TYPES)))
    content = {
        "parameters": [
            parameter("id", "The report.", _ID),
            parameter("meta", "What the user may order: all, or of this report type.", described),
        ],
        "responses": responses(
            add_success(components, "Report", {"report": report, "execution_status": status}),
            add_success(components, "ReportMeta", {"meta": {"anyOf": [meta, by_type]}}),
        ),
    }
    return operation("get", "report", "Read how a report is doing, or what can be ordered", content)


def _download() -> Schema:
    answers = responses(description="The file, or an error in an envelope.")
    answers["200"]["content"] = {
        "text/csv": {"schema": TEXT},
        "text/tab-separated-values": {"schema": TEXT},
        "application/json": {"schema": ERROR},
    }
    answers["200"]["headers"] |= {"Content-Disposition": {"description": "The name of the file.", "schema": TEXT}}
    answers["404"] = {"$ref": "#/components/responses/NotFound"}
    content = {"parameters": [parameter("id", "The report.", _ID)], "responses": answers}
    return operation("get", "report-download", "Download the finished report as CSV or tab-separated text", content)
