"""Report runs: one row of the table `report` each, with its state and its file, kept for a set time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import Row, and_, delete, func, insert, not_, or_, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from onebyone.auth.caller import Caller
from onebyone.clock import HOUR_MS
from onebyone.config_store.tables import report, user
from onebyone.errors import LimitReached
from onebyone.runtime import sql

RunStatus = Literal["pending", "ready", "error"]

PENDING_MAX = 5
"""Pending reports of one user: enough for a script that orders several, too few to block other users for long."""
LEASE_MS = 15_000
"""How long a pending run counts as alive without a renewal by its process: five renewals must have been missed."""
PRUNED_RUNS = 20
"""Runs that one transaction deletes: their files may have megabytes."""
AHEAD_MS = HOUR_MS
"""A run from further in the future was dated by a clock that was wrong, and would be kept until then."""
ABANDONED = "the process that made it has ended; order it again"
"""Error of a run whose process is gone."""


@dataclass(frozen=True, slots=True)
class ReportRun:
    """A report that was ordered, and how far it is."""

    id: str
    user_id: int
    created_on: str
    """UTC, `YYYY-MM-DD HH:MM:SS`."""
    request: Mapping[str, Any]
    """The known fields of the request, as they were sent."""
    status: RunStatus
    error: str | None
    header_info: str
    """Lines about the report, `name,value` with CRLF."""
    size: int | None
    """Bytes of the file; None unless ready."""
    row_count: int | None


@dataclass(frozen=True, slots=True)
class RunStore:
    """Statements on the table `report`; those for a caller are limited to the caller's member."""

    engine: AsyncEngine
    clock: Callable[[], int]
    """Milliseconds since the epoch."""

    async def add(self, caller: Caller, run: ReportRun) -> None:
        """Add a pending run. Raise `LimitReached` when the user has `PENDING_MAX` already."""
        async with sql.writing(self.engine) as connection:
            # Lock the user's row, so that two orders of one user are counted one after the other.
            await connection.execute(select(user.c.id).where(user.c.id == caller.user_id).with_for_update())
            pending = select(func.count()).where(
                report.c.member_id == caller.member_id,
                report.c.user_id == caller.user_id,
                report.c.status == "pending",
                report.c.leased_ms >= self.clock(),
            )
            if ((await connection.execute(pending)).scalar() or 0) >= PENDING_MAX:
                raise LimitReached(f"too many reports: {PENDING_MAX} are pending")
            row = {
                "id": run.id,
                "member_id": caller.member_id,
                "user_id": caller.user_id,
                "created_on": run.created_on,
                "request": run.request,
                "status": run.status,
                "leased_ms": self.clock() + LEASE_MS,
                "header_info": run.header_info,
            }
            await connection.execute(insert(report).values(row))

    async def prune(self, hours: int) -> bool:
        """Delete up to `PRUNED_RUNS` older runs with their files; return whether there may be more."""
        now = self.clock()
        created = report.c.created_on
        # A run that a process vouches for is under way, whatever the clocks show.
        alive = and_(report.c.status == "pending", report.c.leased_ms >= now, report.c.leased_ms <= now + LEASE_MS)
        old = created < format_timestamp(now - hours * HOUR_MS)
        over = and_(or_(old, created > format_timestamp(now + AHEAD_MS)), not_(alive))
        async with sql.reading(self.engine) as connection:
            query = select(report.c.id).where(over).order_by(created).limit(PRUNED_RUNS)
            found = (await connection.execute(query)).scalars().all()
        if found:
            async with sql.writing(self.engine) as connection:
                await connection.execute(delete(report).where(report.c.id.in_(found), over))
        return len(found) == PRUNED_RUNS

    async def find(self, member_id: int, report_id: str) -> ReportRun | None:
        """Return the member's run of that id."""
        columns = [column for column in report.c if column.name not in ("member_id", "body")]
        query = select(*columns).where(report.c.id == report_id, report.c.member_id == member_id)
        async with sql.reading(self.engine) as connection:
            row = (await connection.execute(query)).one_or_none()
        return None if row is None else self._run_of_row(row)

    def _run_of_row(self, row: Row[Any]) -> ReportRun:
        abandoned = row.status == "pending" and row.leased_ms < self.clock()
        status: RunStatus = "error" if abandoned else row.status
        return ReportRun(
            id=row.id,
            user_id=row.user_id,
            created_on=row.created_on,
            request=row.request,
            status=status,
            error=row.error or (ABANDONED if status == "error" else None),
            header_info=row.header_info,
            size=row.size,
            row_count=row.row_count,
        )

    async def load_body(self, member_id: int, report_id: str) -> bytes | None:
        """Return the compressed file of the member's run of that id."""
        query = select(report.c.body).where(report.c.id == report_id, report.c.member_id == member_id)
        async with sql.reading(self.engine) as connection:
            body: bytes | None = await connection.scalar(query)
        return body

    async def finish(self, member_id: int, report_id: str, outcome: Mapping[str, Any]) -> None:
        """Set the columns that a run ends with."""
        own = (report.c.id == report_id) & (report.c.member_id == member_id)
        async with sql.writing(self.engine) as connection:
            await connection.execute(update(report).where(own).values(outcome))

    async def renew_leases(self, report_ids: Sequence[str]) -> None:
        """Extend the leases of those runs that are pending."""
        await self._update_pending(report_ids, {"leased_ms": self.clock() + LEASE_MS})

    async def abandon(self, report_ids: Sequence[str]) -> None:
        """End those runs that are pending with an error."""
        await self._update_pending(report_ids, {"status": "error", "error": ABANDONED})

    async def _update_pending(self, report_ids: Sequence[str], values: Mapping[str, Any]) -> None:
        pending = report.c.id.in_(report_ids) & (report.c.status == "pending")
        async with sql.writing(self.engine) as connection:
            await connection.execute(update(report).where(pending).values(values))


def format_timestamp(epoch_ms: int) -> str:
    """Return `YYYY-MM-DD HH:MM:SS` of UTC."""
    return datetime.fromtimestamp(epoch_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
