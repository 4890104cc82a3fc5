"""Batches that later ones wait for: which they are, and giving them up when the disk that had them is gone for good."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from onebyone.clock import now_ms
from onebyone.report_store.tables import holes, producers
from onebyone.runtime import sql

SILENT_MS = 60_000
"""A producer of which something arrived since is alive: its edge still ships, and only needs time."""


@dataclass(frozen=True, slots=True)
class Gap:
    """A producer that waits: `first` to `last` are missing or were passed over because of what is missing."""

    producer: str
    shard: int
    first: int
    last: int
    silent_ms: int
    """Since the counter last read anything of it."""


class NotGivenUp(Exception):
    """Why a producer's batches were not given up."""


async def read(engine: AsyncEngine) -> list[Gap]:
    """All producers that wait."""
    waiting = select(producers).where(producers.c.seen > producers.c.seq).order_by(producers.c.producer)
    async with sql.reading(engine) as connection:
        rows = (await connection.execute(waiting)).all()
    now = now_ms()
    return [Gap(row.producer, row.shard, row.seq + 1, row.seen, max(0, now - row.updated_at)) for row in rows]


async def give_up(engine: AsyncEngine, producer: str) -> Gap:
    """Records the missing batches of a producer as a hole and counts on behind them, in one transaction.

    What was given up is not counted if it comes all the same. Raises `NotGivenUp`.
    """
    async with sql.writing(engine) as connection:
        one = select(producers).where(producers.c.producer == producer).with_for_update()
        row = (await connection.execute(one)).one_or_none()
        if row is None or row.seen <= row.seq:
            raise NotGivenUp(f"producer {producer} does not wait for anything")
        now = now_ms()
        if now - row.updated_at < SILENT_MS:
            raise NotGivenUp(f"something of producer {producer} arrived a moment ago: its edge is alive and ships")
        hole = {"producer": producer, "from_seq": row.seq + 1, "to_seq": row.seen, "found_at": now}
        await connection.execute(insert(holes).values(hole))
        change = {"seq": row.seen, "updated_at": now}
        await connection.execute(update(producers).where(producers.c.producer == producer).values(change))
    return Gap(producer, row.shard, row.seq + 1, row.seen, now - row.updated_at)
