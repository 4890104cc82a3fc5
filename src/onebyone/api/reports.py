"""The services `report` and `report-download` over HTTP: read parameters, call the report engine, render results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from starlette.responses import Response

from onebyone.api.http import envelope, parameters
from onebyone.api.http.envelope import success
from onebyone.api.http.errors import ApiError, to_api_error, unsupported_method
from onebyone.api.http.request import ApiRequest, Handler
from onebyone.errors import Fault, NotFound, Refused
from onebyone.reports.column_permissions import LimitedKind, limited_kind, permitted_report_types
from onebyone.reports.columns import ColumnType
from onebyone.reports.failure import ReportFailure, ReportNotReady
from onebyone.reports.meta import ReportTypeMeta, describe_report_type
from onebyone.reports.request_filters import OWNERS
from onebyone.reports.run_store import ReportRun
from onebyone.reports.service import ReportFile, ReportService


def report_handlers(reports: ReportService) -> dict[str, Handler]:
    """Return the handlers by service name."""
    handlers = _ReportHandlers(reports)
    return {"report": handlers.report, "report-download": handlers.download}


class _ReportHandlers:
    def __init__(self, reports: ReportService) -> None:
        self._reports = reports

    async def report(self, request: ApiRequest) -> Response:
        """Order a report on POST; on GET return its status, or with `meta` what can be ordered."""
        if request.method == "POST":
            parameters.warn_of_unused(request.query, OWNERS, request.warnings)
            owners = {name: request.query[name] for name in OWNERS if name in request.query}
            fields, beside = _unwrap_report(request.body)
            report_id = await self._reports.order(
                request.caller, fields, owners, beside=beside, warnings=request.warnings
            )
            return success({"report_id": report_id})
        if request.method != "GET":
            raise unsupported_method(request.method, request.service)
        parameters.warn_of_unused(request.query, ("id", "meta"), request.warnings)
        if "meta" in request.query:
            return success({"meta": _render_meta(request.query["meta"], limited_kind(request.caller))}, "meta")
        run = await self._reports.status(request.caller, request.query.get("id", ""))
        # The output term is not "report": a known client would then look for a list of them.
        return success({"report": _render_run(run), "execution_status": run.status})

    async def download(self, request: ApiRequest) -> Response:
        """Return the file of a report; unlike all other services, report failures by HTTP status too."""
        if request.method != "GET":
            raise unsupported_method(request.method, request.service)
        try:
            file = await self._reports.fetch_file(request.caller, request.query.get("id", ""))
        except NotFound as error:
            api_error = to_api_error(error)
            api_error.status = 404
            raise api_error from None
        except ReportNotReady as error:
            raise ApiError("SYSTEM", str(error), error_code="SERVICE_UNAVAILABLE", status=503) from None
        except ReportFailure as error:
            raise ApiError("SYSTEM", str(error), status=500) from None
        return _render_file(file)


def _unwrap_report(body: Any) -> tuple[Mapping[str, Any], list[str]]:
    """Return the report inside `{"report": {...}}`, and the unused names beside it."""
    if not isinstance(body, dict) or not isinstance(body.get("report"), dict):
        raise Refused(Fault("report", "the body must be an object with this key and an object in it"))
    fields: dict[str, Any] = body["report"]
    beside = [name for name in body if name != "report"]
    if "report_interval" in body and not fields.keys() & {"report_interval", "start_date", "end_date"}:
        # nexusadspy puts the interval next to the report.
        beside.remove("report_interval")
        return {**fields, "report_interval": body["report_interval"]}, beside
    return fields, beside


def _render_run(run: ReportRun) -> dict[str, Any]:
    report = {
        "name": run.request.get("name"),
        "created_on": run.created_on,
        "cache_hit": False,
        "fact_cache_hit": False,
        "json_request": orjson.dumps({"report": run.request}).decode(),
        "header_info": run.header_info,
        "report_size": None if run.size is None else str(run.size),
        "row_count": None if run.row_count is None else str(run.row_count),
        "url": f"report-download?id={run.id}",
        "data": None,
    }
    if run.status == "error":
        report["error"] = run.error
    return report


def _render_meta(report_type: str, kind: LimitedKind | None) -> dict[str, Any]:
    """Return what a user of this kind can order of one report type, or of all by name when it is empty."""
    report_types = permitted_report_types(kind)
    if not report_type:
        return {name: _render_report_type(describe_report_type(name, kind)) for name in report_types}
    if report_type not in report_types:
        raise Refused(Fault("meta", f"no report type {report_type[:40]!r}"))
    return _render_report_type(describe_report_type(report_type, kind))


def _render_report_type(meta: ReportTypeMeta) -> dict[str, Any]:
    return {
        "time_granularity": meta.granularity,
        "columns": _render_columns(meta.columns),
        "filters": _render_columns(meta.filters),
        "havings": [{"column": name} for name in meta.group_filters],
        "time_intervals": list(meta.intervals),
    }


def _render_columns(columns: Mapping[str, ColumnType]) -> list[dict[str, str]]:
    return [{"column": name, "type": column_type} for name, column_type in columns.items()]


def _render_file(file: ReportFile) -> Response:
    media_type, suffix = ("text/tab-separated-values", "tsv") if file.tab_separated else ("text/csv", "csv")
    disposition = f'attachment; filename="{file.report_type}.{suffix}"'
    headers = {**envelope.response_headers(), "Content-Disposition": disposition}
    return Response(file.content, headers=headers, media_type=f"{media_type}; charset=utf-8")
