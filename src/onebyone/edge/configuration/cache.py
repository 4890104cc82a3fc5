"""Trackers and members in the memory of one edge process: no Redis call while warm, one at a time for each on a miss.

An entry is *current* until a change of its key is announced or an announcement was missed (`watcher.py`); then it is
looked up again before it is used. While the cache server is away the last known record goes on being used.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

import redis.asyncio
import structlog

from onebyone.contracts import keys
from onebyone.contracts.configuration import MemberRecord, TrackerRecord
from onebyone.edge import metrics
from onebyone.edge.configuration.snapshot import ConfigSnapshot
from onebyone.edge.journal import event_ids
from onebyone.runtime.redis_client import Unavailable

NEGATIVE_SECONDS = 1.0
"""How long an id is remembered as unknown; new trackers are announced, so this only bounds a lost announcement."""
NEGATIVE_ENTRIES = 10_000
MISS_TIMEOUT_SECONDS = 2.0
"""How long after the cache server went away a record that is not held is asked for again before giving up: the
server may only be starting, and a person who clicked should land."""
MISS_RETRY_SECONDS = 0.05
HELD_RETRY_SECONDS = 0.5
"""After a failed look-up, how long nobody asks the cache server again for a record that is already held."""

Record = TypeVar("Record")

_log = structlog.get_logger()


class ConfigurationUnavailable(Exception):
    """The cache cannot say whether the record exists: the server is away, or it is being refilled."""


@dataclass(slots=True)
class Entry(Generic[Record]):
    """A record that is held."""

    record: Record
    generation: int
    """Of the `RecordCache` when it was looked up; below 0: not current, and never will be again."""


class RecordCache(Generic[Record]):
    """Records of one sort by id."""

    def __init__(
        self,
        client: redis.asyncio.Redis,
        key: Callable[[int], str],
        decode: Callable[[bytes], Record],
        limit: int,
        snapshot: ConfigSnapshot | None,
    ) -> None:
        self._client = client
        self._snapshot = snapshot
        self._key = key
        self._decode = decode
        self._limit = limit
        self._entries: dict[int, Entry[Record]] = {}
        self._unknown: dict[int, float] = {}
        self._in_flight: dict[int, asyncio.Task[Record | None]] = {}
        self._generation = 0
        self._invalidations = 0
        self._retry_at = 0.0
        self._unavailable_since: float | None = None

    def get(self, record_id: int) -> Record | None:
        """The record if it is held and current; the hot path."""
        entry = self.entry(record_id)
        return None if entry is None else entry.record

    def entry(self, record_id: int) -> Entry[Record] | None:
        """The same, with what tells when it is current no more."""
        entry = self._entries.get(record_id)
        return entry if entry is not None and entry.generation == self._generation else None

    def store(self, record_id: int, record: Record, current: bool = True) -> Entry[Record]:
        """Holds a record, instead of the oldest if there are too many."""
        replaced = self._entries.pop(record_id, None)
        if replaced is None and len(self._entries) >= self._limit:
            replaced = self._entries.pop(next(iter(self._entries)))
        if replaced is not None:
            replaced.generation = -1
        entry = self._entries[record_id] = Entry(record, self._generation if current else -1)
        return entry

    async def fetch(self, record_id: int) -> Record | None:
        """The record from memory or the cache server; None when there is none. Raises `ConfigurationUnavailable`."""
        record = self.get(record_id)
        if record is not None:
            return record
        now = time.monotonic()
        if self._unknown.get(record_id, 0.0) > now:
            return None
        held = self._entries.get(record_id)
        if now < self._retry_at:
            held = held or await self._load_from_snapshot(record_id)
            if held is not None:
                return held.record
        request = self._in_flight.get(record_id)
        if request is None:
            request = asyncio.create_task(self._fetch_with_retry(record_id, patient=held is None))
            self._in_flight[record_id] = request
            request.add_done_callback(lambda _: self._in_flight.pop(record_id, None))
        try:
            # Shielded: one client that goes away must not fail the others that wait for the same record.
            return await asyncio.shield(request)
        except ConfigurationUnavailable:
            if held is not None:
                return held.record
            raise

    async def _load_from_snapshot(self, record_id: int) -> Entry[Record] | None:
        """The record as an earlier process knew it: from now on held, and looked up again once the server answers."""
        if self._snapshot is None:
            return None
        text = await asyncio.to_thread(self._snapshot.load, self._key(record_id))
        if text is None:
            return None
        try:
            record = self._decode(text)
        except (ValueError, TypeError, KeyError) as error:
            _log.error("unreadable record on disk", key=self._key(record_id), error=repr(error))
            return None
        metrics.SNAPSHOT_READS.inc()
        # What was looked up in the meantime is newer.
        return self._entries.get(record_id) or self.store(record_id, record, current=False)

    async def _fetch_with_retry(self, record_id: int, patient: bool) -> Record | None:
        while True:
            try:
                record = await self._query(record_id)
                self._unavailable_since = None
                return record
            except ConfigurationUnavailable:
                now = time.monotonic()
                self._retry_at = now + HELD_RETRY_SECONDS
                unavailable_since = self._unavailable_since = self._unavailable_since or now
                if patient and (recalled := await self._load_from_snapshot(record_id)) is not None:
                    return recalled.record
                if not patient or now - unavailable_since >= MISS_TIMEOUT_SECONDS:
                    raise
            await asyncio.sleep(MISS_RETRY_SECONDS)

    async def _query(self, record_id: int) -> Record | None:
        invalidations = self._invalidations
        try:
            pipe = self._client.pipeline(transaction=False)
            pipe.get(self._key(record_id))
            pipe.exists(keys.HEAD)
            text, complete = await pipe.execute()
        except Unavailable as error:
            raise ConfigurationUnavailable(str(error)) from error
        if text is None and not complete:
            raise ConfigurationUnavailable("the cache is being refilled")
        if text is None:
            if (gone := self._entries.pop(record_id, None)) is not None:
                gone.generation = -1
            if invalidations == self._invalidations:
                if len(self._unknown) >= NEGATIVE_ENTRIES:
                    del self._unknown[next(iter(self._unknown))]
                self._unknown[record_id] = time.monotonic() + NEGATIVE_SECONDS
            return None
        try:
            record = self._decode(text)
        except (ValueError, TypeError, KeyError) as error:
            _log.error("unreadable record in the cache", key=self._key(record_id), error=repr(error))
            raise ConfigurationUnavailable(f"unreadable record {self._key(record_id)}") from error
        # A change that was announced while the answer was on its way may be newer than the answer.
        if self._snapshot is not None:
            self._snapshot.remember(self._key(record_id))
        fresh = invalidations == self._invalidations
        self.store(record_id, record, current=fresh)
        return record

    def invalidate(self, record_id: int) -> None:
        """A change of this record was published."""
        self._invalidations += 1
        self._unknown.pop(record_id, None)
        entry = self._entries.get(record_id)
        if entry is not None:
            entry.generation = -1

    def invalidate_all(self) -> None:
        """An announcement was missed: nothing held is current any more."""
        self._invalidations += 1
        self._generation += 1
        self._unknown.clear()

    def __len__(self) -> int:
        return len(self._entries)


@dataclass(frozen=True, slots=True)
class Tracker:
    """What answers need of a tracker record, and its part of the event line, encoded: a process may hold many."""

    member_id: int
    active: bool
    click_url: str | None
    fragment: bytes

    @classmethod
    def decode(cls, text: bytes) -> Tracker:
        """The tracker of a cached JSON."""
        record = TrackerRecord.decode(text)
        return cls(record.member_id, record.active, record.click_url, event_ids.tracker_fragment(record))


class ConfigCache:
    """All that an edge process knows of the configuration."""

    def __init__(self, client: redis.asyncio.Redis, trackers: int, snapshot: ConfigSnapshot | None) -> None:
        self.impressions = RecordCache(client, partial(keys.tracker, "imp"), Tracker.decode, trackers, snapshot)
        self.clicks = RecordCache(client, partial(keys.tracker, "clk"), Tracker.decode, trackers, snapshot)
        self.members = RecordCache(client, keys.member, MemberRecord.decode, trackers, snapshot)
        self._by_prefix: dict[str, RecordCache[Tracker] | RecordCache[MemberRecord]] = {
            keys.tracker("imp", 0).rpartition(":")[0]: self.impressions,
            keys.tracker("clk", 0).rpartition(":")[0]: self.clicks,
            keys.member(0).rpartition(":")[0]: self.members,
        }
        self.epoch = 0
        """How often all that was held became doubtful at once."""

    def invalidate(self, key: str) -> None:
        """A change of the record under this Redis key was published."""
        prefix, _, record_id = key.rpartition(":")
        records = self._by_prefix.get(prefix)
        if records is not None:
            records.invalidate(int(record_id))

    def invalidate_all(self) -> None:
        """An announcement was missed."""
        self.epoch += 1
        for records in (self.impressions, self.clicks, self.members):
            records.invalidate_all()
