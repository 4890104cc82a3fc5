"""Report runs: rows of the table `report`, made by background tasks of this process, kept for a day."""

from __future__ import annotations

import asyncio
import secrets
from datetime import UTC, datetime
from typing import Any

import structlog
from sqlalchemy import Row, delete, func, insert, select, update
from sqlalchemy.exc import SQLAlchemyError

from onebyone.auth.caller import Caller
from onebyone.config_store.tables import report, user
from onebyone.errors import LimitReached
from onebyone.reports import analytics, feed
from onebyone.reports.columns import FEEDS
from onebyone.reports.failure import ReportFailure
from onebyone.reports.report_request import Demand
from onebyone.reports.table import TableWriter, guard
from onebyone.resources.context import ApiContext
from onebyone.runtime import sql

PENDING, READY, ERROR = "pending", "ready", "error"
ENDED = "the process that made it has ended; order it again"
PENDING_MAX = 5
RUN_SECONDS = 15 * 60
"""A report that is not ready by then has failed."""
LEASE_MS = 15_000
"""A pending report whose process has not said for so long that it makes it has failed: that process ended."""
BEAT_SECONDS = 3.0
STOP_SECONDS = 3.0
"""At the end, how long to go on with what runs; what is then left has failed."""
KEEP_SECONDS = 24 * 3600
AT_ONCE = 2
"""Reports that one process makes at the same time; the others wait their turn."""

_log = structlog.get_logger()


class Runs:
    """Starts and finds runs. Every statement is limited to the caller's member."""

    def __init__(self, context: ApiContext) -> None:
        self._context = context
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._beating: asyncio.Task[None] | None = None
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def start(self, caller: Caller, demand: Demand) -> str:
        """Begins a run; its id. Raises `DomainError` when too many of the user's wait."""
        report_id = secrets.token_hex(16)
        created = self._time(0)
        async with sql.writing(self._context.store) as connection:
            await connection.execute(delete(report).where(report.c.created_on < self._time(KEEP_SECONDS)))
            # The user's row makes two requests of one user take turns.
            await connection.execute(select(user.c.id).where(user.c.id == caller.user_id).with_for_update())
            waiting = select(func.count()).where(
                report.c.member_id == caller.member_id,
                report.c.user_id == caller.user_id,
                report.c.status == PENDING,
                report.c.leased_ms >= self._context.clock(),
            )
            if ((await connection.execute(waiting)).scalar() or 0) >= PENDING_MAX:
                raise LimitReached(f"too many reports: {PENDING_MAX} are pending")
            row = {
                "id": report_id,
                "member_id": caller.member_id,
                "user_id": caller.user_id,
                "created_on": created,
                "request": demand.echo,
                "status": PENDING,
                "leased_ms": self._context.clock() + LEASE_MS,
                "header_info": _header(report_id, created, caller, demand),
            }
            await connection.execute(insert(report).values(row))
        task = asyncio.create_task(self._run(report_id, caller.member_id, demand), name=f"report {report_id}")
        self._tasks[report_id] = task
        task.add_done_callback(lambda _: self._tasks.pop(report_id, None))
        if self._beating is None or self._beating.done():
            self._beating = asyncio.create_task(self._beat())
        return report_id

    async def find(self, member_id: int, report_id: str, *, body: bool = False) -> Row[Any] | None:
        """The member's run of that id, with its file when `body`."""
        columns = [column for column in report.c if body or column.name != "body"]
        query = select(*columns).where(report.c.id == report_id, report.c.member_id == member_id)
        async with sql.reading(self._context.store) as connection:
            return (await connection.execute(query)).one_or_none()

    def status(self, found: Row[Any]) -> str:
        """`pending`, `ready` or `error`."""
        abandoned = found.status == PENDING and found.leased_ms < self._context.clock()
        return ERROR if abandoned else str(found.status)

    async def stop(self) -> None:
        """Waits a moment for what runs; the rest has failed, so that whoever waits for it can order it again."""
        if self._tasks:
            await asyncio.wait(self._tasks.values(), timeout=STOP_SECONDS)
        left = list(self._tasks)
        if left:
            await self._update(left, {"status": ERROR, "error": ENDED})

    async def _beat(self) -> None:
        while self._tasks:
            await asyncio.sleep(BEAT_SECONDS)
            await self._update(list(self._tasks), {"leased_ms": self._context.clock() + LEASE_MS})

    async def _update(self, report_ids: list[str], values: dict[str, Any]) -> None:
        own = report.c.id.in_(report_ids) & (report.c.status == PENDING)
        try:
            async with sql.writing(self._context.store) as connection:
                await connection.execute(update(report).where(own).values(values))
        except (SQLAlchemyError, OSError) as error:
            _log.warning("reports cannot be kept: the store is away", reports=report_ids, error=f"{error!r:.300}")

    async def _run(self, report_id: str, member_id: int, demand: Demand) -> None:
        try:
            outcome = await self._made(member_id, demand)
        except ReportFailure as failure:
            outcome = {"status": ERROR, "error": str(failure)}
        except TimeoutError:
            outcome = {"status": ERROR, "error": "it took too long"}
        except (SQLAlchemyError, OSError) as error:
            _log.warning("report failed: a store is away", report_id=report_id, error=f"{error!r:.300}")
            outcome = {"status": ERROR, "error": "a store is not available; try again"}
        except Exception:
            _log.exception("report failed", report_id=report_id)
            outcome = {"status": ERROR, "error": "internal error"}
        own = (report.c.id == report_id) & (report.c.member_id == member_id)
        try:
            async with sql.writing(self._context.store) as connection:
                await connection.execute(update(report).where(own).values(outcome))
        except (SQLAlchemyError, OSError) as error:
            _log.warning("report is lost: the store is away", report_id=report_id, error=f"{error!r:.300}")

    async def _made(self, member_id: int, demand: Demand) -> dict[str, Any]:
        table = TableWriter(demand)
        writer = feed if demand.report_type in FEEDS else analytics
        async with self._turns, asyncio.timeout(RUN_SECONDS):
            await writer.write(self._context, member_id, demand, table)
        body = table.finish()
        return {"status": READY, "body": body, "size": table.size, "row_count": table.row_count}

    def _time(self, seconds_ago: int) -> str:
        moment = datetime.fromtimestamp(self._context.clock() / 1000 - seconds_ago, UTC)
        return moment.strftime("%Y-%m-%d %H:%M:%S")


def _header(report_id: str, created: str, caller: Caller, demand: Demand) -> str:
    window = demand.window
    lines = [
        ("Report ID:", report_id),
        ("Run at:", created),
        ("Start date:", window.local(window.start)),
        ("End date:", window.local(window.end)),
        ("Timezone:", window.zone.key),
        ("User:", f"{guard(caller.name)} ({caller.user_id})"),
    ]
    return "".join(f"{name},{value}\r\n" for name, value in lines)
