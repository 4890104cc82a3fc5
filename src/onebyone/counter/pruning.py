"""Delete what the report store keeps for a limited time, in steps so small that counting never waits for them."""

from __future__ import annotations

import asyncio

from sqlalchemy import ColumnElement, Table, delete, select, tuple_
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from onebyone.clock import DAY_MS, now_ms
from onebyone.report_store.tables import archive, clicks
from onebyone.runtime import sql
from onebyone.runtime.outage import Outage

CLICK_DAYS = 31
"""One more than the 30 days that the click feed serves."""
EVERY_SECONDS = 60.0
"""Retention is in days, so a minute is soon enough."""
STEP_ROWS = 500
"""Rows of one transaction: a few milliseconds during which a SQLite store has no other writer."""
STEP_SECONDS = 0.05
"""Pause between steps, in which shards commit."""


async def prune_forever(engine: AsyncEngine, archive_days: int, writers: asyncio.Semaphore) -> None:
    """Prune every `EVERY_SECONDS` forever; after a failure, try again in the next round."""
    outage = Outage("report store is unreachable, pruning is paused", "pruning resumed")
    while True:
        try:
            await prune(engine, archive_days, writers)
        except (SQLAlchemyError, OSError) as error:
            outage.failed(error)
        else:
            outage.succeeded()
        await asyncio.sleep(EVERY_SECONDS)


async def prune(engine: AsyncEngine, archive_days: int, writers: asyncio.Semaphore) -> None:
    """Delete archived batches and click rows that are past their retention."""
    old_batch = archive.c.first_ts < now_ms() - archive_days * DAY_MS
    batches = select(archive.c.producer, archive.c.seq).where(old_batch).order_by(archive.c.first_ts)
    await _remove(engine, writers, archive, tuple_(archive.c.producer, archive.c.seq).in_(batches.limit(STEP_ROWS)))
    # Rows are numbered in counting order, so the oldest are at the front and need no index on time.
    front = select(clicks.c.id).order_by(clicks.c.id).limit(STEP_ROWS)
    old_click = clicks.c.ts < now_ms() - CLICK_DAYS * DAY_MS
    await _remove(engine, writers, clicks, clicks.c.id.in_(front) & old_click)


async def _remove(
    engine: AsyncEngine, writers: asyncio.Semaphore, table: Table, condition: ColumnElement[bool]
) -> None:
    while True:
        async with writers, sql.writing(engine) as connection:
            removed = (await connection.execute(delete(table).where(condition))).rowcount
        if removed < STEP_ROWS:
            return
        await asyncio.sleep(STEP_SECONDS)
