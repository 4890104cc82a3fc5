"""The life of one shard: read, count, commit, publish, trim; and again after whatever went wrong."""

from __future__ import annotations

import asyncio
import time

import redis
import redis.asyncio
import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from onebyone.clock import now_ms
from onebyone.counter import metrics
from onebyone.counter.counting import Entry, Tally, name_of, parse_id
from onebyone.counter.ledger import Ledger, Moved
from onebyone.counter.outages import Outages
from onebyone.counter.statements import refuses
from onebyone.counter.stream import READ_ENTRIES, Stream

PACE_SECONDS = 0.1
PACE_BATCHES = 32
"""The pause after a commit that left fewer batches than these, so that lone events share transactions."""
BLOCK_MS = 500
"""How long a read waits for the first entry; well below the reply time-out."""
DRAIN_BLOCK_MS = 50
ASK_SECONDS = 5.0
"""How often a missing batch is asked for again."""
NEVER = float("-inf")
DRAIN_SECONDS = 10.0

_log = structlog.get_logger()


class Shard:
    """Counts one shard until stopped. `writers` limits how many shards write at once."""

    def __init__(
        self,
        shard: int,
        client: redis.asyncio.Redis,
        engine: AsyncEngine,
        outages: Outages,
        writers: asyncio.Semaphore,
        stopping: asyncio.Event,
    ) -> None:
        self.answered = asyncio.Event()
        """Set after the first read."""
        self._shard = shard
        self._ledger = Ledger(engine, shard)
        self._stream = Stream(client, shard)
        self._outages = outages
        self._writers = writers
        self._stopping = stopping
        self._loaded = False
        self._incarnation = b""
        self._oldest_ms = 0
        self._behind = 0
        self._asked = NEVER
        self._untold: dict[str, int] = {}
        """Committed progress that is not published yet."""
        self._single = 0
        """Entries still to be taken one by one, because the store refused something among them."""

    async def run(self) -> None:
        """Counts; after `stopping` until two reads in a row were empty, or for `DRAIN_SECONDS`."""
        empty = 0
        deadline = None
        while True:
            if self._stopping.is_set():
                deadline = deadline or time.monotonic() + DRAIN_SECONDS
                if empty >= 2 or time.monotonic() >= deadline:
                    return
            else:
                empty = 0
            pause = 0.0
            try:
                empty = empty + 1 if not await self._round() else 0
                self._outages.over(self._shard)
                self.answered.set()
                if empty == 0 and self._behind < PACE_BATCHES:
                    pause = PACE_SECONDS
            except Moved as moved:
                self._loaded = False
                pause = self._outages.failed("position", self._shard, moved)
            except redis.RedisError as error:
                self._loaded = False
                pause = self._outages.failed("stream", self._shard, error)
            except (SQLAlchemyError, OSError) as error:
                self._loaded = False
                pause = self._outages.failed("sql", self._shard, error)
            except Exception as error:
                self._loaded = False
                pause = self._outages.failed("counter", self._shard, error)
            self._measure()
            if pause:
                await asyncio.sleep(pause)

    async def _round(self) -> bool:
        """One read and what follows from it; whether there was anything."""
        if not self._loaded:
            await self._load()
        most = 1 if self._single else READ_ENTRIES
        block_ms = DRAIN_BLOCK_MS if self._stopping.is_set() else BLOCK_MS
        reading = await self._stream.read(self._ledger.position, most, block_ms)
        if reading.incarnation != self._incarnation:
            await self._meet(reading.incarnation)
            return True
        if not reading.entries:
            self._oldest_ms = 0
            self._behind = 0
            if await self._went_back():
                return True
            await self._tell()
            return False
        self._oldest_ms = parse_id(reading.entries[0][0])[0]
        self._behind = max(self._behind, len(reading.entries))
        await self._count(reading.entries)
        return True

    async def _load(self) -> None:
        self._untold = await self._ledger.load()
        self._incarnation = b""
        self._loaded = True

    async def _meet(self, incarnation: bytes) -> None:
        """The server is not the one that was read last, or this process has just begun."""
        if self._incarnation:
            self._untold = await self._ledger.recent()
        if self._ledger.incarnation not in ("", _stored(incarnation)):
            _log.warning("stream server was emptied or replaced, reading from the start", shard=self._shard)
            self._ledger.position = (0, 0)
        elif not await self._went_back():
            await self._stream.trim(self._ledger.position, incarnation)
        self._incarnation = incarnation
        await self._take_back()
        await self._tell()

    async def _take_back(self) -> None:
        """Edges believe no more than SQL knows: a store restored from a backup may not even know a dead producer.

        Nobody would ever send such a producer's next batch, and its journal would be deleted as counted.
        """
        published = await self._stream.published()
        await self._ledger.know(published)
        committed = self._ledger.committed
        too_high = {name: committed[name] for name, seq in published.items() if seq > committed[name]}
        if too_high:
            await self._stream.withdraw(too_high)
            self._untold |= too_high

    async def _went_back(self) -> bool:
        """Whether the stream now gives out ids below the position, which a read from there would never see."""
        if await self._stream.last_id() >= self._ledger.position:
            return False
        _log.warning("stream ids went back, reading from the start", shard=self._shard)
        self._ledger.position = (0, 0)
        return True

    async def _count(self, entries: list[Entry]) -> None:
        names = {name[0] for _, fields in entries if (name := name_of(fields))}
        await self._ledger.know(names)
        tally = Tally(self._shard)
        tally.add(entries, self._ledger.committed)
        try:
            await self._commit(tally)
        except (SQLAlchemyError, ValueError, TypeError, OverflowError) as error:
            if not refuses(error):
                raise
            self._loaded = False
            if not self._single:
                _log.error("store refused a read, trying its entries one by one", error=f"{error!r:.300}")
                self._single = len(entries)
                return
            await self._ledger.load()
            await self._ledger.know(names)
            tally = Tally(self._shard)
            tally.condemn(entries[0], self._ledger.committed, repr(error))
            await self._commit(tally)
        self._single = max(0, self._single - 1)

    async def _commit(self, tally: Tally) -> None:
        if not self._ledger.waiting.issuperset(tally.waiting()):
            self._asked = NEVER
        async with self._writers:
            await self._ledger.commit(tally, _stored(self._incarnation))
        _record(tally)
        # First of all: a server whose memory is full takes no other write until this has made room.
        self._behind = await self._stream.trim(self._ledger.position, self._incarnation)
        if not self._behind:
            self._oldest_ms = 0
        self._untold.update(tally.progress)
        await self._tell()

    async def _tell(self) -> None:
        """Publishes progress, and asks for missing batches at once and then from time to time."""
        try:
            await self._stream.publish(self._untold)
            self._untold = {}
            if self._ledger.waiting and time.monotonic() - self._asked >= ASK_SECONDS:
                if await self._ledger.was_moved():
                    # What was missing was given up by the operator.
                    self._loaded = False
                    return
                await self._stream.ask_again(sorted(self._ledger.waiting))
                self._asked = time.monotonic()
                metrics.RESENDS.inc(len(self._ledger.waiting))
        except redis.exceptions.OutOfMemoryError:
            metrics.ERRORS.labels("stream").inc()

    def _measure(self) -> None:
        shard = str(self._shard)
        metrics.BEHIND.labels(shard).set(self._behind)
        metrics.OLDEST.labels(shard).set(max(0, now_ms() - self._oldest_ms) / 1000 if self._oldest_ms else 0)
        metrics.WAITING.labels(shard).set(len(self._ledger.waiting))


def _stored(incarnation: bytes) -> str:
    """An incarnation as SQL keeps it, whatever bytes somebody put there."""
    return incarnation.hex()[:64]


def _record(tally: Tally) -> None:
    for kind, number in tally.kinds.items():
        metrics.EVENTS.labels(kind).inc(number)
    metrics.BATCHES.inc(len(tally.archive))
    metrics.DUPLICATES.inc(tally.duplicates)
    for letter in tally.dead_letters:
        metrics.DEAD_LETTERS.labels(letter["reason"]).inc()
    if tally.dead_letters:
        first = tally.dead_letters[0]
        _log.error("records could not be counted", letters=len(tally.dead_letters), first=first["detail"])
    for hole in tally.holes:
        lost = hole["to_seq"] - hole["from_seq"] + 1
        metrics.LOST_BATCHES.inc(lost)
        _log.error("batches are lost: no journal has them any more", batches=lost, **hole)
