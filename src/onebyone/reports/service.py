"""The report service: order a report, ask for its status, fetch its file."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from onebyone.auth.caller import Caller
from onebyone.errors import Forbidden, NotFound
from onebyone.reports import report_request, unknown_fields
from onebyone.reports.column_permissions import limited_kind
from onebyone.reports.columns import FEEDS
from onebyone.reports.csv_file import decompress_file
from onebyone.reports.failure import ReportFailure, ReportNotReady
from onebyone.reports.run_store import ReportRun, RunStore
from onebyone.reports.runs import ReportRuns

WAIT_SECONDS = 10.0
"""How long to wait for the file of a pending report: most are ready by then, and clients time out later."""
POLL_SECONDS = 0.05
"""How often to look whether a report is ready; another process may be making it, so there is nothing to wait on."""

_REPORT_ID = re.compile(r"[0-9a-f]{32}", re.ASCII)


@dataclass(frozen=True, slots=True)
class ReportFile:
    """The finished file of a report."""

    report_type: str
    tab_separated: bool
    """Tab-separated text instead of CSV."""
    content: bytes


class ReportService:
    """What callers do with reports; each sees only the reports of the own member, a limited user only its own."""

    def __init__(self, config_store: AsyncEngine, report_store: AsyncEngine, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._run_store = RunStore(config_store, clock)
        self._runs = ReportRuns(config_store, report_store, clock, self._run_store)

    async def prune(self, hours: int) -> bool:
        """Delete a few reports that were ordered longer ago than this; return whether there may be more."""
        return await self._run_store.prune(hours)

    async def order(
        self,
        caller: Caller,
        fields: Mapping[str, Any],
        owners: Mapping[str, str],
        *,
        beside: Sequence[str] = (),
        warnings: list[str] | None = None,
    ) -> str:
        """Start making a report and return its id.

        `fields` are those of the request, `owners` its filters by advertiser and publisher that were given apart. Each
        unknown field, and each name in `beside`, sent with the report, adds one to `warnings`. Raise `Refused` with
        every fault, `Forbidden` for a feed of a limited user, `LimitReached` when too many are pending.
        """
        if warnings is not None:
            unknown_fields.warn_of_unknown_fields(fields, report_request.FIELDS, beside, warnings)
        limit = caller.limit
        if limit is not None and fields.get("report_type") in tuple(FEEDS):
            raise Forbidden("a feed shows the whole member and has no filters")
        filters: Mapping[str, str | int] = owners if limit is None else {**owners, limit[0]: limit[1]}
        request = report_request.parse_report_request(fields, filters, self._clock(), limited_kind(caller))
        return await self._runs.start(caller, request)

    async def status(self, caller: Caller, report_id: str) -> ReportRun:
        """Return how far a report is. Raise `NotFound` for one that the caller does not see."""
        run = None
        if _REPORT_ID.fullmatch(report_id):
            run = await self._run_store.find(caller.member_id, report_id)
        if run is None or (caller.limit is not None and run.user_id != caller.user_id):
            raise NotFound("report", report_id[:64])
        return run

    async def fetch_file(self, caller: Caller, report_id: str) -> ReportFile:
        """Return the file of a report; wait up to `WAIT_SECONDS` for a pending one.

        Raise `NotFound` for a report that the caller does not see, `ReportNotReady` for one that is still pending, and
        `ReportFailure` for one that could not be made.
        """
        deadline = time.monotonic() + WAIT_SECONDS
        run = await self.status(caller, report_id)
        while run.status == "pending" and time.monotonic() < deadline:
            await asyncio.sleep(POLL_SECONDS)
            run = await self.status(caller, report_id)
        if run.status == "pending":
            raise ReportNotReady("the report is not ready yet")
        if run.status == "error":
            raise ReportFailure(f"the report failed: {run.error}")
        body = await self._run_store.load_body(caller.member_id, report_id)
        if body is None:
            raise NotFound("report", report_id)
        content = await asyncio.to_thread(decompress_file, body)
        return ReportFile(run.request["report_type"], run.request.get("format") == "excel", content)

    async def stop(self) -> None:
        """End the reports that this process is making."""
        await self._runs.stop()
