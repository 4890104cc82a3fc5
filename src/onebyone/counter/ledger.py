"""What one shard has counted, in SQL: position and producers, moved by compare-and-set together with the sums."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from onebyone.clock import now_ms
from onebyone.counter.counting import Tally, store
from onebyone.counter.statements import insert_new
from onebyone.report_store.tables import positions, producers
from onebyone.runtime import sql

NAMES = 500
"""Producers asked for in one statement."""
RECENT_MS = 24 * 3_600_000
"""Progress of producers seen within this time is published again to a stream server that lost it."""


class Moved(Exception):
    """Another counter has committed to this shard: what is held in memory is stale."""


class Ledger:
    """The committed state of one shard, cached between commits; `load` it first, and again after any failure."""

    def __init__(self, engine: AsyncEngine, shard: int) -> None:
        self._engine = engine
        self._shard = shard
        self._generation = 0
        self.position = (0, 0)
        self.incarnation = ""
        self.committed: dict[str, int] = {}
        """Producer -> last counted `seq`."""
        self.waiting: set[str] = set()
        """Producers of which an earlier batch is missing."""

    async def load(self) -> dict[str, int]:
        """Reads the committed state; progress of recent producers."""
        async with sql.writing(self._engine) as connection:
            row = {"shard": self._shard, "stream_ms": 0, "stream_seq": 0, "incarnation": "", "generation": 0}
            await connection.execute(insert_new(connection.dialect.name, positions), row)
            found = (await connection.execute(select(positions).where(positions.c.shard == self._shard))).one()
            missing = select(producers.c.producer).where(
                producers.c.shard == self._shard, producers.c.seen > producers.c.seq
            )
            waiting = (await connection.execute(missing)).scalars().all()
        self.position = (found.stream_ms, found.stream_seq)
        self.incarnation = found.incarnation
        self._generation = found.generation
        self.committed = {}
        self.waiting = set(waiting)
        return await self.recent()

    async def recent(self) -> dict[str, int]:
        """Progress of producers seen lately."""
        query = select(producers.c.producer, producers.c.seq).where(
            producers.c.shard == self._shard, producers.c.updated_at > now_ms() - RECENT_MS
        )
        async with sql.reading(self._engine) as connection:
            return {row.producer: row.seq for row in await connection.execute(query)}

    async def was_moved(self) -> bool:
        """Whether a producer that waits here does not wait in SQL any more."""
        known = await self.progress_of(sorted(self.waiting))
        return any(seq != self.committed.get(name, seq) for name, seq in known.items())

    async def know(self, names: Iterable[str]) -> None:
        """Reads the progress of producers that are not held yet."""
        self.committed.update(await self.progress_of([name for name in names if name not in self.committed]))

    async def progress_of(self, names: list[str]) -> dict[str, int]:
        """The last counted `seq` of producers; 0 when there is none."""
        found = dict.fromkeys(names, 0)
        async with sql.reading(self._engine) as connection:
            for start in range(0, len(names), NAMES):
                some = producers.c.producer.in_(names[start : start + NAMES])
                rows = await connection.execute(select(producers.c.producer, producers.c.seq).where(some))
                found.update({row.producer: row.seq for row in rows})
        return found

    async def commit(self, tally: Tally, incarnation: str) -> None:
        """Position, producers and sums in one transaction. Raises `Moved`, and then has changed nothing."""
        async with sql.writing(self._engine) as connection:
            await self._move(connection, tally, incarnation)
            await self._advance(connection, tally)
            await store(connection, tally)
        self._generation += 1
        self.position = tally.position
        self.incarnation = incarnation
        self.committed.update(tally.progress)
        self.waiting.difference_update(tally.progress)
        self.waiting.update(tally.waiting())

    async def _move(self, connection: AsyncConnection, tally: Tally, incarnation: str) -> None:
        move = (
            update(positions)
            .where(positions.c.shard == self._shard, positions.c.generation == self._generation)
            .values(
                stream_ms=tally.position[0],
                stream_seq=tally.position[1],
                incarnation=incarnation,
                generation=self._generation + 1,
            )
        )
        if (await connection.execute(move)).rowcount != 1:
            raise Moved(f"position of shard {self._shard}")

    async def _advance(self, connection: AsyncConnection, tally: Tally) -> None:
        if not tally.progress:
            return
        # A journal that is adopted after the number of shards changed reaches two shards: its row is compared too.
        names = sorted(tally.progress)
        blank = {"shard": self._shard, "seq": 0, "seen": 0, "updated_at": tally.now}
        new = [{"producer": name, **blank} for name in names if not self.committed[name]]
        if new:
            await connection.execute(insert_new(connection.dialect.name, producers), new)
        locked = select(producers.c.producer, producers.c.seq, producers.c.seen)
        locked = locked.where(producers.c.producer.in_(names)).order_by(producers.c.producer).with_for_update()
        rows = (await connection.execute(locked)).all()
        if {row.producer: row.seq for row in rows} != {name: self.committed[name] for name in names}:
            raise Moved(f"producers of shard {self._shard}")
        for row in rows:
            seq = tally.progress[row.producer]
            change = {
                "shard": self._shard,
                "seq": seq,
                "seen": max(row.seen, tally.seen[row.producer]),
                "updated_at": tally.now,
            }
            await connection.execute(update(producers).where(producers.c.producer == row.producer).values(change))
