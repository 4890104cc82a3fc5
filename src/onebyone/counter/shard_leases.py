"""Which shards this counter owns: leases in the report store, shared out evenly among the counters that run.

Every counter has a row in `counters`, whose `beat` it increments; the shards that it owns name it in `positions.owner`.
A counter whose beat the others have seen unchanged for `SILENT_SECONDS`, by their own monotonic clocks, is removed
together with its leases, in one transaction; no wall clock is ever compared. A lease only avoids needless work: what
makes counting exact is that each commit compares the owner (`Ledger`), so that a counter that was stopped for an hour
and goes on cannot commit. A counter owns its even share: it gives back what exceeds it and claims free shards up to it.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import Collection, Iterable

import structlog
from sqlalchemy import Update, delete, insert, or_, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from onebyone.counter import metrics
from onebyone.counter.outages import Outages
from onebyone.counter.statements import insert_new
from onebyone.report_store.tables import counters, positions
from onebyone.runtime import sql

LOOK_SECONDS = 1.0
"""How often to look at the other counters: two small reads."""
SILENT_SECONDS = 5.0
"""A counter whose beat has not changed for this long is dead or stopped: five beats, far more than a commit takes, and
with two looks well below the ten seconds within which its shards must move."""
GAP_SECONDS = 2 * LOOK_SECONDS
"""The most silence that one look adds: if this process or the store stood still, so did the beats of the others."""
LONE_BEAT_SECONDS = 10.0
"""How often to beat without another counter, for those who ask when one last ran: an idle store is hardly written."""
FRESH_SECONDS = SILENT_SECONDS - LOOK_SECONDS
"""A lease confirmed within this time is still held; after that the position is read again before anything else."""
LEAVE_SECONDS = 1.0
"""Bound on giving everything back at the end: the others wait `SILENT_SECONDS` where it does not succeed."""

_log = structlog.get_logger()


class Lease:
    """The lease of one shard, as the task of that shard sees it."""

    def __init__(self, leases: ShardLeases, shard: int) -> None:
        self.shard = shard
        self.held = asyncio.Event()
        self.wanted_back = False
        """Whether another counter is to have it: give it back after the present round."""
        self._leases = leases

    @property
    def owner(self) -> str:
        """The name of this counter."""
        return self._leases.counter

    @property
    def has_successor(self) -> bool:
        """Whether another counter runs that will take what this one gives back."""
        return self._leases.has_company

    def is_fresh(self) -> bool:
        """Return whether the store has confirmed the lease just now, so that no other counter can have it."""
        return self._leases.is_fresh()

    async def wait_held(self, stopping: asyncio.Event) -> bool:
        """Wait until the lease is held or the process stops; return whether it is held."""
        if not self.held.is_set():
            waits = [asyncio.create_task(event.wait()) for event in (self.held, stopping)]
            try:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for wait in waits:
                    wait.cancel()
        return self.held.is_set()

    async def give_back(self) -> None:
        """Free the shard for the other counters, unless it was lost to one."""
        if self.held.is_set():
            await self._leases.give_back(self)

    def lose(self) -> None:
        """Note that the store names another owner."""
        if self.held.is_set():
            self.held.clear()
            metrics.LEASES_LOST.inc()
            _log.warning("the lease of a shard is lost, another counter may count it", shard=self.shard)


class ShardLeases:
    """The leases of one counter, named by 16 random hex digits. Call `join`, then `run`, and `leave` at the end."""

    def __init__(self, engine: AsyncEngine, writers: asyncio.Semaphore, shards: int, counter: str = "") -> None:
        self.counter = counter or secrets.token_hex(8)
        self.leases = [Lease(self, shard) for shard in range(shards)]
        self.has_company = False
        self._engine = engine
        self._writers = writers
        self._joined = False
        self._leaving = False
        self._beats = 0
        self._confirmed = self._looked = self._beaten = float("-inf")
        self._silence: dict[str, tuple[int, float]] = {}
        """Other counter -> its beat when last seen, and for how many seconds it has not changed."""
        self._returning: set[int] = set()

    @property
    def held(self) -> list[int]:
        """The shards that this counter owns."""
        return [lease.shard for lease in self.leases if lease.held.is_set()]

    def is_fresh(self) -> bool:
        """Return whether the store has confirmed the leases within `FRESH_SECONDS`."""
        return time.monotonic() - self._confirmed < FRESH_SECONDS

    async def join(self, ended: Collection[str] = ()) -> None:
        """Enter this counter, take over from counters that have certainly `ended`, and claim what is free."""
        async with self._writers, sql.writing(self._engine) as connection:
            blank = {"stream_ms": 0, "stream_seq": 0, "incarnation": "", "generation": 0, "owner": ""}
            rows = [{"shard": lease.shard, **blank} for lease in self.leases]
            await connection.execute(insert_new(connection.dialect.name, positions), rows)
            for name in sorted(ended):
                await connection.execute(delete(counters).where(counters.c.counter == name))
                await connection.execute(_new_owner(self.counter).where(positions.c.owner == name))
            await self._beat(connection)
        self._beaten = time.monotonic()
        await self.look()
        self._joined = True

    async def run(self, stopping: asyncio.Event, outages: Outages) -> None:
        """Look every `LOOK_SECONDS` until cancelled; claim nothing any more once `stopping` is set."""
        while True:
            pause = LOOK_SECONDS
            try:
                await self.look()
                outages.succeeded(-1)
            except (SQLAlchemyError, OSError) as error:
                pause = outages.failed("sql", -1, error)
            if self._leaving:
                await asyncio.sleep(pause)
                continue
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), pause)
                self._leaving = True
                self._beaten = float("-inf")

    async def look(self) -> None:
        """Read who runs and who owns what; beat, and take, claim or ask back what this changes."""
        began = time.monotonic()
        async with sql.reading(self._engine) as connection:
            known = {row.counter: row for row in await connection.execute(select(counters))}
            rows = await connection.execute(select(positions.c.shard, positions.c.owner))
            owners = {row.shard: row.owner for row in rows}
        self._observe({name: row.beat for name, row in known.items() if name != self.counter}, began)
        silent = {name: beat for name, (beat, seconds) in self._silence.items() if seconds >= SILENT_SECONDS}
        staying = [name for name, row in known.items() if name not in silent and not row.leaving]
        self.has_company = any(name != self.counter for name in staying)
        if self._silence or self.counter not in known or began - self._beaten >= LONE_BEAT_SECONDS:
            async with self._writers, sql.writing(self._engine) as connection:
                await self._beat(connection)
            self._beaten = began
        self._adopt(owners)
        self._confirmed = began
        share = 0 if self._leaving else even_share(self.counter, staying, len(self.leases))
        unowned = {lease.shard: owners.get(lease.shard, "") for lease in self.leases if not lease.held.is_set()}
        free = [shard for shard, owner in unowned.items() if owner not in known or owner in silent]
        wanted = free[: max(0, share - len(self.held))]
        if silent or wanted:
            await self._take(silent, wanted, unowned)
        self._ask_back(share)

    async def give_back(self, lease: Lease) -> None:
        """Free a shard. The next look takes it up again where the store does not answer."""
        asked, lease.wanted_back = lease.wanted_back, False
        self._returning.add(lease.shard)
        lease.held.clear()
        try:
            async with self._writers, sql.writing(self._engine) as connection:
                mine = (positions.c.shard == lease.shard) & (positions.c.owner == self.counter)
                await connection.execute(_new_owner("").where(mine))
            if asked:
                _log.info("a shard is given back for another counter", shard=lease.shard, owned=len(self.held))
        except (SQLAlchemyError, OSError) as error:
            _log.warning("a shard is not given back, the store does not answer", shard=lease.shard, error=repr(error))
        finally:
            self._returning.discard(lease.shard)
        metrics.SHARDS.set(len(self.held))

    async def leave(self) -> None:
        """Give back everything; the row stays as the time at which this counter last ran."""
        self._leaving = True
        with contextlib.suppress(SQLAlchemyError, OSError, TimeoutError):
            async with asyncio.timeout(LEAVE_SECONDS), self._writers, sql.writing(self._engine) as connection:
                await connection.execute(_new_owner("").where(positions.c.owner == self.counter))
                await self._beat(connection)
        for lease in self.leases:
            lease.held.clear()
        metrics.SHARDS.set(0)

    async def _beat(self, connection: AsyncConnection) -> None:
        # Counted here, so that no beat repeats: a counter that was removed and enters again must not look unchanged.
        self._beats += 1
        values = {"beat": self._beats, "beat_at": sql.store_clock_ms(connection.dialect.name), "leaving": self._leaving}
        change = update(counters).where(counters.c.counter == self.counter).values(values)
        if (await connection.execute(change)).rowcount == 0:
            await connection.execute(insert(counters).values(counter=self.counter, **values))

    def _observe(self, beats: dict[str, int], now: float) -> None:
        passed = min(now - self._looked, GAP_SECONDS)
        self._looked = now
        before = self._silence
        self._silence = {
            name: (beat, before[name][1] + passed if name in before and before[name][0] == beat else 0.0)
            for name, beat in beats.items()
        }

    def _adopt(self, owners: dict[int, str]) -> None:
        for lease in self.leases:
            if owners.get(lease.shard) != self.counter:
                lease.lose()
            elif lease.shard not in self._returning:
                lease.held.set()
        metrics.SHARDS.set(len(self.held))

    async def _take(self, silent: dict[str, int], wanted: Iterable[int], seen: dict[int, str]) -> None:
        """Remove silent counters with their leases, and claim shards that had no live owner when they were `seen`."""
        removed: list[str] = []
        claimed: list[int] = []
        async with self._writers, sql.writing(self._engine) as connection:
            for name, beat in sorted(silent.items()):
                dead = delete(counters).where(counters.c.counter == name, counters.c.beat == beat)
                if (await connection.execute(dead)).rowcount:
                    await connection.execute(_new_owner("").where(positions.c.owner == name))
                    removed.append(name)
            for shard in wanted:
                free = or_(positions.c.owner == "", positions.c.owner.not_in(select(counters.c.counter)))
                claim = _new_owner(self.counter).where(positions.c.shard == shard, free)
                if seen[shard] not in silent or seen[shard] in removed:
                    claimed += [shard] * (await connection.execute(claim)).rowcount
        for shard in claimed:
            self.leases[shard].held.set()
        metrics.SHARDS.set(len(self.held))
        if removed:
            _log.warning("counters are silent, their shards are free", counters=removed, seconds=SILENT_SECONDS)
        if claimed and self._joined:
            _log.info("shards claimed", shards=claimed, owned=len(self.held))

    def _ask_back(self, share: int) -> None:
        kept = self.held if self._leaving else self.held[:share]
        for lease in self.leases:
            lease.wanted_back = lease.held.is_set() and lease.shard not in kept


def even_share(counter: str, staying: Collection[str], shards: int) -> int:
    """Return how many of the shards a counter is to own, so that the shares of all that stay add up to `shards`."""
    names = sorted({*staying, counter})
    base, more = divmod(shards, len(names))
    return base + (names.index(counter) < more)


def _new_owner(counter: str) -> Update:
    return update(positions).values(owner=counter, generation=positions.c.generation + 1)
