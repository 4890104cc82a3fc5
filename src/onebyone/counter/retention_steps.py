"""What a round of pruning deletes, as steps: each selects a few rows, without a lock, and deletes them.

Rows are found by an index on their time, so one that is dated in the future hides no others.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from sqlalchemy import ColumnElement, Table, and_, delete, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncEngine

from onebyone.clock import DAY_MS, HOUR_MS
from onebyone.counter import metrics
from onebyone.counter.retention import Retention
from onebyone.report_store.tables import archive, clicks, dead_letters, holes, hourly, producers
from onebyone.runtime import sql

STEP_ROWS = 400
"""Rows of one transaction: a few milliseconds during which a SQLite store has no other writer. Their keys, of two
columns at most, are parameters, and SQLite may be built to allow only 999 of them."""
WRONG_CLOCK_MS = DAY_MS
"""A time further ahead than this is no late tick of another machine: a clock was wrong."""

Forget = Callable[[int, list[str]], Awaitable[None]]
"""Removes what the stream server keeps of these producers of a shard."""
Steps = AsyncIterator[None]
"""Yields after each step."""

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class RetentionSteps:
    """The steps of one round, at `now` in milliseconds since the epoch."""

    engine: AsyncEngine
    writers: asyncio.Semaphore
    retention: Retention
    now: int
    forget: Forget

    def all(self) -> list[Steps]:
        """Return the steps of every kind of rows that is not kept for ever."""
        days = self.retention
        return [
            self._archived_batches(),
            self._clicks(),
            *([self._dead_letters()] if days.dead_letter_days else []),
            *([self._producers()] if days.producer_days else []),
            *([self._rollups(), self._holes()] if days.rollup_days else []),
        ]

    async def _archived_batches(self) -> Steps:
        oldest = self._cutoff(self.retention.archive_days)
        async for _ in self._delete(archive, archive.c.first_ts < oldest, archive.c.first_ts):
            yield
        # The clock of their edge was ahead; they are as old as the last that was heard of it.
        recent = select(producers.c.producer).where(producers.c.updated_at >= oldest)
        misdated = and_(archive.c.first_ts > self.now + WRONG_CLOCK_MS, archive.c.producer.not_in(recent))
        async for _ in self._delete(archive, misdated, archive.c.first_ts):
            yield

    async def _clicks(self) -> Steps:
        kept_ms = self.retention.click_days * DAY_MS
        # No feed will ask for clicks that are dated as far ahead. A clock that was set back makes all rows look so.
        newest = None if await self._is_clock_behind() else self.now + kept_ms
        for member in await self._members(clicks.c.member_id, clicks.c.ts, self.now - kept_ms, newest):
            own = clicks.c.member_id == member
            async for _ in self._delete(clicks, and_(own, clicks.c.ts < self.now - kept_ms), clicks.c.ts):
                yield
            if newest is not None:
                async for _ in self._delete(clicks, and_(own, clicks.c.ts > newest), clicks.c.ts):
                    yield

    async def _dead_letters(self) -> Steps:
        found = dead_letters.c.found_at
        days = self.retention.dead_letter_days
        async for _ in self._delete(dead_letters, found < self._cutoff(days), found):
            _log.warning("dead letters were deleted: their events are lost", days=days)
            yield

    async def _holes(self) -> Steps:
        old = holes.c.found_at < self._cutoff(self.retention.rollup_days)
        async for _ in self._delete(holes, old, holes.c.id):
            yield

    async def _producers(self) -> Steps:
        row = producers.c
        silent = and_(row.updated_at < self._cutoff(self.retention.producer_days), row.seen <= row.seq)
        while True:
            query = select(row.shard, row.producer).where(silent).order_by(row.shard, row.updated_at).limit(STEP_ROWS)
            async with sql.reading(self.engine) as connection:
                rows = (await connection.execute(query)).all()
            for shard in sorted({one.shard for one in rows}):
                # Before the rows, so that a stream server that is away leaves nothing that nobody removes.
                await self.forget(shard, [one.producer for one in rows if one.shard == shard])
            if rows:
                await self._delete_rows(producers, and_(row.producer.in_([one.producer for one in rows]), silent))
                yield
            if len(rows) < STEP_ROWS:
                return

    async def _rollups(self) -> Steps:
        """Delete whole hours; a step ends between two trackers, so that it never leaves some reasons of an hour."""
        oldest = self._cutoff(self.retention.rollup_days) // HOUR_MS * (HOUR_MS // 1000)
        group = (hourly.c.hour, hourly.c.kind, hourly.c.tracker_id)
        for member in await self._members(hourly.c.member_id, hourly.c.hour, oldest, None):
            old = and_(hourly.c.member_id == member, hourly.c.hour < oldest)
            step = select(*group).where(old).order_by(*group).offset(STEP_ROWS - 1).limit(1)
            last: Any = ()
            while last is not None:
                async with sql.reading(self.engine) as connection:
                    last = (await connection.execute(step)).one_or_none()
                await self._delete_rows(hourly, old if last is None else and_(old, tuple_(*group) <= tuple_(*last)))
                yield

    async def _members(
        self, member: ColumnElement[int], time: ColumnElement[int], oldest: int, newest: int | None
    ) -> list[int]:
        """Return the members with a row before `oldest` or after `newest`; each takes a few look-ups in the index."""
        found = []
        async with sql.reading(self.engine) as connection:
            last = await connection.scalar(select(func.min(member)))
            while last is not None:
                first_time = await connection.scalar(select(func.min(time)).where(member == last))
                last_time = await connection.scalar(select(func.max(time)).where(member == last))
                if (first_time or 0) < oldest or (newest is not None and (last_time or 0) > newest):
                    found.append(int(last))
                last = await connection.scalar(select(func.min(member)).where(member > last))
        return found

    async def _delete(self, table: Table, condition: ColumnElement[bool], order: ColumnElement[Any]) -> Steps:
        """Delete the rows of a condition in the order of a column, and yield after each step that deleted some."""
        keys = list(table.primary_key)
        query = select(*keys).where(condition).order_by(order).limit(STEP_ROWS)
        while True:
            async with sql.reading(self.engine) as connection:
                rows = (await connection.execute(query)).all()
            if rows:
                await self._delete_rows(table, and_(_one_of(keys, rows), condition))
                yield
            if len(rows) < STEP_ROWS:
                return

    async def _delete_rows(self, table: Table, condition: ColumnElement[bool]) -> None:
        async with self.writers, sql.writing(self.engine) as connection:
            deleted = (await connection.execute(delete(table).where(condition))).rowcount
        metrics.PRUNED_ROWS.labels(table.name).inc(deleted)

    async def _is_clock_behind(self) -> bool:
        """Return whether this clock is earlier than the last commits, so that it was set back or is not set yet."""
        async with sql.reading(self.engine) as connection:
            last = await connection.scalar(select(func.max(producers.c.updated_at)))
        return (last or 0) > self.now + WRONG_CLOCK_MS

    def _cutoff(self, days: int) -> int:
        return self.now - days * DAY_MS


def _one_of(keys: Sequence[ColumnElement[Any]], rows: Sequence[Any]) -> ColumnElement[bool]:
    if len(keys) == 1:
        return keys[0].in_([row[0] for row in rows])
    return tuple_(*keys).in_([tuple(row) for row in rows])
