"""What one shard has counted, in SQL: position and producers, advanced by compare-and-set together with the sums."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from onebyone.clock import DAY_MS, now_ms
from onebyone.counter.counting import BatchTotals, write_totals
from onebyone.counter.statements import insert_new
from onebyone.report_store.tables import positions, producers
from onebyone.runtime import sql

NAMES = 500
"""Producers in one statement, well below the number of parameters that SQLite accepts."""
RECENT_MS = DAY_MS
"""Publish the progress of producers seen within this time again to a stream server that lost it: edges keep an overlap
of minutes, so a day is more than any of them needs."""


class ConcurrentCommit(Exception):
    """Another counter has committed to this shard: the state in memory is stale."""


class LeaseLost(Exception):
    """This counter does not own the shard (any more): it must not count it."""


class Ledger:
    """The committed state of one shard, cached between commits. Call `load` first, and again after any failure.

    `owner` is the counter that must have the lease of the shard for a `load` or `commit` to succeed.
    """

    def __init__(self, engine: AsyncEngine, shard: int, owner: str = "") -> None:
        self._engine = engine
        self._shard = shard
        self._owner = owner
        self._generation = 0
        self.position = (0, 0)
        self.incarnation = ""
        self.committed: dict[str, int] = {}
        """Producer -> last counted `seq`."""
        self.waiting: set[str] = set()
        """Producers of which an earlier batch is missing."""

    async def load(self) -> dict[str, int]:
        """Read the committed state; return the progress of recent producers. Raise `LeaseLost`."""
        async with sql.writing(self._engine) as connection:
            row = {"shard": self._shard, "stream_ms": 0, "stream_seq": 0, "incarnation": "", "generation": 0}
            await connection.execute(insert_new(connection.dialect.name, positions), row)
            stored = (await connection.execute(select(positions).where(positions.c.shard == self._shard))).one()
            self._check_owner(stored.owner)
            missing = select(producers.c.producer).where(
                producers.c.shard == self._shard, producers.c.seen > producers.c.seq
            )
            waiting = (await connection.execute(missing)).scalars().all()
        self.position = (stored.stream_ms, stored.stream_seq)
        self.incarnation = stored.incarnation
        self._generation = stored.generation
        self.committed = {}
        self.waiting = set(waiting)
        return await self.recent_progress()

    async def recent_progress(self) -> dict[str, int]:
        """Return the last counted `seq` of the producers seen within `RECENT_MS`."""
        query = select(producers.c.producer, producers.c.seq).where(
            producers.c.shard == self._shard, producers.c.updated_at > now_ms() - RECENT_MS
        )
        async with sql.reading(self._engine) as connection:
            return {row.producer: row.seq for row in await connection.execute(query)}

    async def waiting_is_stale(self) -> bool:
        """Return whether SQL has advanced a producer that waits here, as when an operator gives its batches up."""
        known = await self.progress_of(sorted(self.waiting))
        return any(seq != self.committed.get(name, seq) for name, seq in known.items())

    async def load_progress(self, names: Iterable[str]) -> None:
        """Read the progress of the producers that are not cached yet."""
        self.committed.update(await self.progress_of([name for name in names if name not in self.committed]))

    async def progress_of(self, names: list[str]) -> dict[str, int]:
        """Return the last counted `seq` of each producer; 0 when none is counted."""
        progress = dict.fromkeys(names, 0)
        async with sql.reading(self._engine) as connection:
            for start in range(0, len(names), NAMES):
                some = producers.c.producer.in_(names[start : start + NAMES])
                rows = await connection.execute(select(producers.c.producer, producers.c.seq).where(some))
                progress.update({row.producer: row.seq for row in rows})
        return progress

    async def commit(self, totals: BatchTotals, incarnation: str) -> None:
        """Write position, producers and sums in one transaction.

        Raise `LeaseLost` or `ConcurrentCommit`, with nothing changed.
        """
        async with sql.writing(self._engine) as connection:
            await self._advance_position(connection, totals, incarnation)
            await self._advance_producers(connection, totals)
            await write_totals(connection, totals)
        self._generation += 1
        self.position = totals.position
        self.incarnation = incarnation
        self.committed.update(totals.progress)
        self.waiting.difference_update(totals.progress)
        self.waiting.update(totals.waiting())

    async def _advance_position(self, connection: AsyncConnection, totals: BatchTotals, incarnation: str) -> None:
        move = (
            update(positions)
            .where(
                positions.c.shard == self._shard,
                positions.c.generation == self._generation,
                positions.c.owner == self._owner,
            )
            .values(
                stream_ms=totals.position[0],
                stream_seq=totals.position[1],
                incarnation=incarnation,
                generation=self._generation + 1,
            )
        )
        if (await connection.execute(move)).rowcount != 1:
            owner = select(positions.c.owner).where(positions.c.shard == self._shard)
            self._check_owner((await connection.execute(owner)).scalar())
            raise ConcurrentCommit(f"position of shard {self._shard}")

    def _check_owner(self, owner: str | None) -> None:
        if owner != self._owner:
            raise LeaseLost(f"shard {self._shard} belongs to {owner or 'no counter'}")

    async def _advance_producers(self, connection: AsyncConnection, totals: BatchTotals) -> None:
        if not totals.progress:
            return
        # A journal that is adopted after the number of shards changed reaches two shards: compare its row too.
        names = sorted(totals.progress)
        blank = {"shard": self._shard, "seq": 0, "seen": 0, "updated_at": totals.now}
        new = [{"producer": name, **blank} for name in names if not self.committed[name]]
        if new:
            await connection.execute(insert_new(connection.dialect.name, producers), new)
        locked = select(producers.c.producer, producers.c.seq, producers.c.seen)
        locked = locked.where(producers.c.producer.in_(names)).order_by(producers.c.producer).with_for_update()
        rows = (await connection.execute(locked)).all()
        if {row.producer: row.seq for row in rows} != {name: self.committed[name] for name in names}:
            raise ConcurrentCommit(f"producers of shard {self._shard}")
        for row in rows:
            seq = totals.progress[row.producer]
            change = {
                "shard": self._shard,
                "seq": seq,
                "seen": max(row.seen, totals.seen[row.producer]),
                "updated_at": totals.now,
            }
            await connection.execute(update(producers).where(producers.c.producer == row.producer).values(change))
