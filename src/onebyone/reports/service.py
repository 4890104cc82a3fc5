"""`/report` and `/report-download`: order a report, look how it is doing, fetch its file."""

from __future__ import annotations

import asyncio
import re
import time
from typing import Any

import orjson
from sqlalchemy import Row
from starlette.responses import Response

from onebyone.api.http import envelope
from onebyone.api.http.envelope import success
from onebyone.api.http.errors import ApiError, to_api_error, unsupported_method
from onebyone.api.http.request import ApiRequest, Handler
from onebyone.errors import Forbidden, NotFound
from onebyone.reports import meta, report_request, runs, table
from onebyone.reports.columns import FEEDS
from onebyone.reports.runs import Runs
from onebyone.resources.context import ApiContext

WAIT_SECONDS = 10.0
"""How long a download waits for a report that is pending."""
POLL_SECONDS = 0.05

_ID = re.compile(r"[0-9a-f]{32}", re.ASCII)


def services(context: ApiContext, runs: Runs) -> dict[str, Handler]:
    """Handlers by service name."""
    service = _Reports(context, runs)
    return {"report": service.report, "report-download": service.download}


class _Reports:
    def __init__(self, context: ApiContext, runs: Runs) -> None:
        self._context = context
        self._runs = runs

    async def report(self, request: ApiRequest) -> Response:
        """POST orders a report; GET tells its status, or with `meta` what can be ordered. Raises `DomainError`."""
        if request.method == "POST":
            limit = request.caller.limit
            query = request.query if limit is None else {**request.query, limit[0]: str(limit[1])}
            wanted = report_request.parse(request.body, query, self._context.clock())
            if limit is not None and wanted.report_type in FEEDS:
                raise Forbidden("a feed shows the whole member and has no filters")
            return success({"report_id": await self._runs.start(request.caller, wanted)})
        if request.method != "GET":
            raise unsupported_method(request.method, request.service)
        if "meta" in request.query:
            return success({"meta": meta.describe(request.query["meta"])}, "meta")
        found = await self._found(request, body=False)
        # The output term is not "report": a known client would then look for a list of them.
        return success({"report": self._shown(found), "execution_status": self._runs.status(found)})

    async def download(self, request: ApiRequest) -> Response:
        """The file of a report, waited for when it is pending. Raises `DomainError` with an HTTP error status."""
        if request.method != "GET":
            raise unsupported_method(request.method, request.service)
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            found = await self._found(request, body=False, status=404)
            status = self._runs.status(found)
            if status != runs.PENDING or time.monotonic() >= deadline:
                break
            await asyncio.sleep(POLL_SECONDS)
        if status == runs.PENDING:
            raise ApiError("SYSTEM", "the report is not ready yet", error_code="SERVICE_UNAVAILABLE", status=503)
        if status == runs.ERROR:
            raise ApiError("SYSTEM", f"the report failed: {found.error or runs.ENDED}", status=500)
        found = await self._found(request, body=True, status=404)
        excel = found.request.get("format") == "excel"
        name = f"{found.request['report_type']}.{'tsv' if excel else 'csv'}"
        headers = {**envelope.response_headers(), "Content-Disposition": f'attachment; filename="{name}"'}
        media_type = "text/tab-separated-values" if excel else "text/csv"
        content = await asyncio.to_thread(table.unpack, found.body)
        return Response(content, headers=headers, media_type=f"{media_type}; charset=utf-8")

    async def _found(self, request: ApiRequest, *, body: bool, status: int = 200) -> Row[Any]:
        report_id = request.query.get("id", "")
        found = None
        if _ID.fullmatch(report_id):
            found = await self._runs.find(request.caller.member_id, report_id, body=body)
        if found is not None and request.caller.limit is not None and found.user_id != request.caller.user_id:
            found = None
        if found is None:
            error = to_api_error(NotFound("report", report_id[:64]))
            error.status = status
            raise error
        return found

    def _shown(self, found: Row[Any]) -> dict[str, Any]:
        shown = {
            "name": found.request.get("name"),
            "created_on": found.created_on,
            "cache_hit": False,
            "fact_cache_hit": False,
            "json_request": orjson.dumps({"report": found.request}).decode(),
            "header_info": found.header_info,
            "report_size": None if found.size is None else str(found.size),
            "row_count": None if found.row_count is None else str(found.row_count),
            "url": f"report-download?id={found.id}",
            "data": None,
        }
        if self._runs.status(found) == runs.ERROR:
            shown["error"] = found.error or runs.ENDED
        return shown
