"""The loop of one shard: read, count, commit, publish, trim; and retry after any failure."""

from __future__ import annotations

import asyncio
import time

import redis
import redis.asyncio
import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from onebyone.clock import now_ms
from onebyone.contracts.traffic_classes import CLASSES
from onebyone.counter import metrics
from onebyone.counter.classification.list_watch import ListWatch
from onebyone.counter.counting import BatchTotals, Entry, batch_name, parse_stream_id
from onebyone.counter.ledger import ConcurrentCommit, LeaseLost, Ledger
from onebyone.counter.outages import Outages
from onebyone.counter.producer_clocks import ProducerClocks
from onebyone.counter.proxy_retries import ProxyRetries
from onebyone.counter.shard_leases import Lease
from onebyone.counter.statements import is_refusal
from onebyone.counter.stream import READ_ENTRIES, Stream

PACE_SECONDS = 0.1
"""Pause after a small commit, so that sparse events share transactions; a report lags by no more than this."""
PACE_BATCHES = 32
"""A commit that leaves fewer batches than these in the stream is small."""
BLOCK_MS = 500
"""How long a read waits for the first entry; well below the client's reply timeout."""
DRAIN_BLOCK_MS = 50
"""The same while draining: an empty stream must not delay the stop."""
ASK_SECONDS = 5.0
"""How often to request a missing batch again; an edge answers within its poll of a quarter of a second."""
NEVER = float("-inf")
DRAIN_SECONDS = 10.0
"""A stream that edges keep filling is left to the next counter after this."""

_log = structlog.get_logger()


class Shard:
    """Counts one shard while this counter owns it. `writers` limits how many shards write concurrently."""

    def __init__(
        self,
        lease: Lease,
        client: redis.asyncio.Redis,
        engine: AsyncEngine,
        outages: Outages,
        writers: asyncio.Semaphore,
        stopping: asyncio.Event,
        clocks: ProducerClocks,
        retries: ProxyRetries,
        lists: ListWatch,
    ) -> None:
        self.answered = asyncio.Event()
        """Set after the first successful read, or once it is not to be counted here any more."""
        self.lease = lease
        self._shard = lease.shard
        self._ledger = Ledger(engine, self._shard, lease.owner)
        self._stream = Stream(client, self._shard)
        self._outages = outages
        self._writers = writers
        self._stopping = stopping
        self._clocks = clocks
        self._retries = retries
        self._lists = lists
        self._loaded = False
        self._incarnation = b""
        self._oldest_ms = 0
        self._backlog = 0
        self._resend_asked = NEVER
        self._unpublished: dict[str, int] = {}
        """Committed progress that is not published yet, by producer."""
        self._one_by_one = 0
        """Entries still to be counted one at a time, because the store refused something among them."""

    @property
    def backlog(self) -> int:
        """Batches left in the stream by the last round."""
        return self._backlog

    @property
    def oldest_ms(self) -> int:
        """When the oldest of them entered the stream, ms since the epoch; 0: none is left."""
        return self._oldest_ms

    @property
    def waiting(self) -> int:
        """Producers of which an earlier batch is missing."""
        return len(self._ledger.waiting)

    async def run(self) -> None:
        """Count whenever this counter owns the shard, until stopped."""
        while await self.lease.wait_held(self._stopping):
            self._loaded = False
            await self._count_while_held()
            self.answered.set()
            self._outages.withdraw(self._shard)
            if not self._stopping.is_set():
                self._forget()
            await self.lease.give_back()

    async def _count_while_held(self) -> None:
        """Count until the shard is lost, wanted by another counter or, at a stop, drained.

        Without another counter, drain until two consecutive reads are empty, for at most `DRAIN_SECONDS`.
        """
        empty = 0
        deadline = None
        while self.lease.held.is_set() and not self.lease.wanted_back:
            if self._stopping.is_set():
                deadline = deadline or time.monotonic() + DRAIN_SECONDS
                if empty >= 2 or time.monotonic() >= deadline or self.lease.has_successor:
                    return
            else:
                empty = 0
            pause = 0.0
            try:
                empty = empty + 1 if not await self._round() else 0
                self._outages.succeeded(self._shard)
                self.answered.set()
                if empty == 0 and self._backlog < PACE_BATCHES:
                    pause = PACE_SECONDS
            except LeaseLost:
                self.lease.lose()
            except ConcurrentCommit as moved:
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
        """Read once and count what arrived; return whether anything did."""
        if not self._loaded or not self.lease.is_fresh():
            await self._load()
        most = 1 if self._one_by_one else READ_ENTRIES
        block_ms = DRAIN_BLOCK_MS if self._stopping.is_set() else BLOCK_MS
        reading = await self._stream.read(self._ledger.position, most, block_ms)
        if reading.incarnation != self._incarnation:
            await self._accept_incarnation(reading.incarnation)
            return True
        if not reading.entries:
            self._oldest_ms = 0
            self._backlog = 0
            if await self._ids_went_back():
                return True
            await self._publish()
            return False
        self._oldest_ms = parse_stream_id(reading.entries[0][0])[0]
        self._backlog = max(self._backlog, len(reading.entries))
        self._clocks.note_entries(reading.entries)
        await self._count(reading.entries)
        return True

    async def _load(self) -> None:
        self._unpublished = await self._ledger.load()
        self._incarnation = b""
        self._loaded = True

    async def _accept_incarnation(self, incarnation: bytes) -> None:
        """Handle a server that is not the one read last, or the first read of this process."""
        if self._incarnation:
            self._unpublished = await self._ledger.recent_progress()
        if self._ledger.incarnation not in ("", _stored_incarnation(incarnation)):
            _log.warning("stream server was emptied or replaced, reading from the start", shard=self._shard)
            self._ledger.position = (0, 0)
        elif not await self._ids_went_back():
            await self._stream.trim(self._ledger.position, incarnation)
        self._incarnation = incarnation
        await self._withdraw_excess()
        await self._publish()

    async def _withdraw_excess(self) -> None:
        """Withdraw published progress beyond what SQL holds, as after a restore of the store from a backup.

        Otherwise an edge would delete journals as counted that the restored store does not know.
        """
        published = await self._stream.published_progress()
        await self._ledger.load_progress(published)
        committed = self._ledger.committed
        too_high = {name: committed[name] for name, seq in published.items() if seq > committed[name]}
        if too_high:
            await self._stream.withdraw_progress(too_high)
            self._unpublished |= too_high

    async def _ids_went_back(self) -> bool:
        """Return whether the stream assigns ids below the position, which a read from there would never see."""
        if await self._stream.last_id() >= self._ledger.position:
            return False
        _log.warning("stream ids went back, reading from the start", shard=self._shard)
        self._ledger.position = (0, 0)
        return True

    async def _count(self, entries: list[Entry]) -> None:
        names = {name[0] for _, fields in entries if (name := batch_name(fields))}
        await self._ledger.load_progress(names)
        totals = BatchTotals(self._shard, classes=self._lists.classes)
        totals.add(entries, self._ledger.committed)
        try:
            await self._commit(totals)
        except (SQLAlchemyError, ValueError, TypeError, OverflowError) as error:
            if not is_refusal(error):
                raise
            self._loaded = False
            if not self._one_by_one:
                _log.error("report store refused rows, counting their entries one at a time", error=f"{error!r:.300}")
                self._one_by_one = len(entries)
                return
            await self._ledger.load()
            await self._ledger.load_progress(names)
            totals = BatchTotals(self._shard)
            totals.dead_letter_entry(entries[0], self._ledger.committed, repr(error))
            await self._commit(totals)
        self._one_by_one = max(0, self._one_by_one - 1)

    async def _commit(self, totals: BatchTotals) -> None:
        if not self._ledger.waiting.issuperset(totals.waiting()):
            self._resend_asked = NEVER
        async with self._writers:
            await self._ledger.commit(totals, _stored_incarnation(self._incarnation))
        _record_metrics(totals)
        self._retries.note(totals.proxy_requests)
        # Before anything else: a server whose memory is full refuses every other write until this has made room.
        self._backlog = await self._stream.trim(self._ledger.position, self._incarnation)
        if not self._backlog:
            self._oldest_ms = 0
        self._unpublished.update(totals.progress)
        await self._publish()

    async def _publish(self) -> None:
        """Publish progress; request missing batches immediately, then every `ASK_SECONDS`."""
        try:
            await self._stream.publish_progress(self._unpublished)
            self._unpublished = {}
            if self._ledger.waiting and time.monotonic() - self._resend_asked >= ASK_SECONDS:
                if await self._ledger.waiting_is_stale():
                    # An operator has given up the missing batches.
                    self._loaded = False
                    return
                await self._stream.request_resend(sorted(self._ledger.waiting))
                self._resend_asked = time.monotonic()
                metrics.RESENDS.inc(len(self._ledger.waiting))
        except redis.exceptions.OutOfMemoryError:
            metrics.ERRORS.labels("stream").inc()

    def _forget(self) -> None:
        self._oldest_ms = self._backlog = self._one_by_one = 0
        self._ledger.waiting = set()
        self._resend_asked = NEVER
        self._measure()

    def _measure(self) -> None:
        shard = str(self._shard)
        metrics.BEHIND.labels(shard).set(self._backlog)
        metrics.OLDEST.labels(shard).set(max(0, now_ms() - self._oldest_ms) / 1000 if self._oldest_ms else 0)
        metrics.WAITING.labels(shard).set(len(self._ledger.waiting))


def _stored_incarnation(incarnation: bytes) -> str:
    """Return an incarnation as SQL stores it: hex, because the server may hold any bytes."""
    return incarnation.hex()[:64]


def _record_metrics(totals: BatchTotals) -> None:
    for kind, number in totals.kinds.items():
        metrics.EVENTS.labels(kind).inc(number)
    for (_, _, reason), sums in totals.hours.items():
        if reason in CLASSES:
            metrics.CLASSIFIED.labels(reason).inc(sums[0])
    metrics.BATCHES.inc(len(totals.archive))
    metrics.DUPLICATES.inc(totals.duplicates)
    for letter in totals.dead_letters:
        metrics.DEAD_LETTERS.labels(letter["reason"]).inc()
    if totals.dead_letters:
        first = totals.dead_letters[0]
        _log.error("records could not be counted", letters=len(totals.dead_letters), first=first["detail"])
    for hole in totals.holes:
        lost = hole["to_seq"] - hole["from_seq"] + 1
        metrics.LOST_BATCHES.inc(lost)
        _log.error("batches are lost: no journal holds them", batches=lost, **hole)
