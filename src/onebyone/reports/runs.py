"""Makes reports in background tasks of this process and keeps their runs up to date."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping
from typing import Any

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from onebyone.auth.caller import Caller
from onebyone.reports import analytics, feed
from onebyone.reports.columns import FEEDS
from onebyone.reports.csv_file import CsvWriter, escape_formula
from onebyone.reports.failure import ReportFailure
from onebyone.reports.report_request import ReportRequest
from onebyone.reports.run_store import ReportRun, RunStore, format_timestamp

RUN_SECONDS = 15 * 60
"""Time for one report, after which it fails, so that a runaway query frees its slot."""
RENEW_SECONDS = 3.0
"""How often to renew the leases of pending runs: a fifth of `run_store.LEASE_MS`."""
STOP_SECONDS = 3.0
"""How long a stopping process continues its reports: most finish in time, and the drain must not overrun."""
CONCURRENT_REPORTS = 2
"""Reports that one process makes at the same time, so that they leave the database and the CPU to its requests."""

_log = structlog.get_logger()


class ReportRuns:
    """Starts runs in this process, and ends them with it."""

    def __init__(
        self, config_store: AsyncEngine, report_store: AsyncEngine, clock: Callable[[], int], run_store: RunStore
    ) -> None:
        self._config_store = config_store
        self._report_store = report_store
        self._clock = clock
        self._run_store = run_store
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._renewing: asyncio.Task[None] | None = None
        self._slots = asyncio.Semaphore(CONCURRENT_REPORTS)

    async def start(self, caller: Caller, request: ReportRequest) -> str:
        """Start a run and return its id. Raise `LimitReached` when too many of the user's are pending."""
        report_id = secrets.token_hex(16)
        created_on = format_timestamp(self._clock())
        run = ReportRun(
            id=report_id,
            user_id=caller.user_id,
            created_on=created_on,
            request=request.echo,
            status="pending",
            error=None,
            header_info=_header_info(report_id, created_on, caller, request),
            size=None,
            row_count=None,
        )
        await self._run_store.add(caller, run)
        task = asyncio.create_task(self._run(report_id, caller.member_id, request), name=f"report {report_id}")
        self._tasks[report_id] = task
        task.add_done_callback(lambda _: self._tasks.pop(report_id, None))
        if self._renewing is None or self._renewing.done():
            self._renewing = asyncio.create_task(self._renew_leases())
        return report_id

    async def stop(self) -> None:
        """Give running reports `STOP_SECONDS`, then end the rest with an error, so that their callers can retry."""
        if self._tasks:
            await asyncio.wait(self._tasks.values(), timeout=STOP_SECONDS)
        if self._tasks:
            report_ids = list(self._tasks)
            try:
                await self._run_store.abandon(report_ids)
            except (SQLAlchemyError, OSError) as error:
                _log_store_error("cannot end reports, the store is unreachable", error, reports=report_ids)

    async def _renew_leases(self) -> None:
        while self._tasks:
            await asyncio.sleep(RENEW_SECONDS)
            report_ids = list(self._tasks)
            try:
                await self._run_store.renew_leases(report_ids)
            except (SQLAlchemyError, OSError) as error:
                _log_store_error("cannot renew reports, the store is unreachable", error, reports=report_ids)

    async def _run(self, report_id: str, member_id: int, request: ReportRequest) -> None:
        outcome: Mapping[str, Any]
        try:
            outcome = await self._make_file(member_id, request)
        except ReportFailure as failure:
            outcome = {"status": "error", "error": str(failure)}
        except TimeoutError:
            outcome = {"status": "error", "error": "it took too long"}
        except (SQLAlchemyError, OSError) as error:
            _log_store_error("report failed, a store is unreachable", error, report_id=report_id)
            outcome = {"status": "error", "error": "a store is not available; try again"}
        except Exception:
            _log.exception("report failed", report_id=report_id)
            outcome = {"status": "error", "error": "internal error"}
        try:
            await self._run_store.finish(member_id, report_id, outcome)
        except (SQLAlchemyError, OSError) as error:
            _log_store_error("report lost, the store is unreachable", error, report_id=report_id)

    async def _make_file(self, member_id: int, request: ReportRequest) -> Mapping[str, Any]:
        writer = CsvWriter(request.columns, tab_separated=request.excel, quote_all=request.quote_all)
        async with self._slots, asyncio.timeout(RUN_SECONDS):
            if request.report_type in FEEDS:
                await feed.write_feed(self._report_store, member_id, request, writer)
            else:
                await analytics.write_analytics(self._config_store, self._report_store, member_id, request, writer)
        body = writer.finish()
        return {"status": "ready", "body": body, "size": writer.size, "row_count": writer.row_count}


def _log_store_error(event: str, error: Exception, **fields: Any) -> None:
    _log.warning(event, error=f"{error!r:.300}", **fields)


def _header_info(report_id: str, created_on: str, caller: Caller, request: ReportRequest) -> str:
    time_range = request.time_range
    lines = [
        ("Report ID:", report_id),
        ("Run at:", created_on),
        ("Start date:", time_range.format_local(time_range.start)),
        ("End date:", time_range.format_local(time_range.end)),
        ("Timezone:", time_range.zone.key),
        ("User:", f"{escape_formula(caller.name)} ({caller.user_id})"),
    ]
    return "".join(f"{name},{value}\r\n" for name, value in lines)
