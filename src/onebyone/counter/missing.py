"""Missing batches that later ones wait for: list them, and give them up when the disk that held them is gone."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from onebyone.clock import now_ms
from onebyone.report_store.tables import holes, producers
from onebyone.runtime import sql

SILENT_MS = 60_000
"""A producer that was heard of within this time is alive: its edge ships and only needs time."""


@dataclass(frozen=True, slots=True)
class Gap:
    """A producer that waits: batches `first` to `last` are missing, or arrived and wait for the missing ones."""

    producer: str
    shard: int
    first: int
    last: int
    silent_ms: int
    """Milliseconds since the counter last read anything of it."""


class NotGivenUp(Exception):
    """The reason why the batches of a producer were not given up."""


async def list_gaps(engine: AsyncEngine) -> list[Gap]:
    """Return all producers that wait, by name."""
    waiting = select(producers).where(producers.c.seen > producers.c.seq).order_by(producers.c.producer)
    async with sql.reading(engine) as connection:
        rows = (await connection.execute(waiting)).all()
    now = now_ms()
    return [Gap(row.producer, row.shard, row.seq + 1, row.seen, max(0, now - row.updated_at)) for row in rows]


async def give_up(engine: AsyncEngine, producer: str) -> Gap:
    """Record the missing batches of a producer as a hole, so that counting continues after them, in one transaction.

    Batches that were given up are not counted if they arrive later. Raise `NotGivenUp` for a
    producer that does not wait, or whose edge is alive.
    """
    async with sql.writing(engine) as connection:
        one = select(producers).where(producers.c.producer == producer).with_for_update()
        row = (await connection.execute(one)).one_or_none()
        if row is None or row.seen <= row.seq:
            raise NotGivenUp(f"producer {producer} does not wait for any batch")
        now = now_ms()
        if now - row.updated_at < SILENT_MS:
            raise NotGivenUp(f"producer {producer} shipped within the last minute: its edge is alive")
        hole = {"producer": producer, "from_seq": row.seq + 1, "to_seq": row.seen, "found_at": now}
        await connection.execute(insert(holes).values(hole))
        change = {"seq": row.seen, "updated_at": now}
        await connection.execute(update(producers).where(producers.c.producer == producer).values(change))
    return Gap(producer, row.shard, row.seq + 1, row.seen, now - row.updated_at)
