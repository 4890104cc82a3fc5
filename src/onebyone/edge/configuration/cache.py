"""Trackers and members in the memory of one edge process: no Redis call while warm, one at a time for each on a miss.

An entry is *current* until a change of its key is announced or an announcement was missed (`watcher.py`); then it is
looked up again before it is used. While the cache server is away the last known record goes on being used.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import redis.asyncio
import structlog

from onebyone.contracts import keys
from onebyone.contracts.configuration import MemberRecord, TrackerRecord
from onebyone.edge import metrics
from onebyone.edge.configuration.snapshot import LastKnown
from onebyone.edge.journal import event_ids
from onebyone.runtime.redis_client import Unavailable

UNKNOWN_SECONDS = 1.0
"""How long an id is remembered as unknown; new trackers are announced, so this only bounds a lost announcement."""
UNKNOWN_ENTRIES = 10_000
PATIENCE_SECONDS = 2.0
"""How long after the cache server went away a record that is not held is asked for again before giving up: the
server may only be starting, and a person who clicked should land."""
PATIENCE_STEP_SECONDS = 0.05
RETRY_SECONDS = 0.5
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
    """Of the `Lookup` when it was looked up; below 0: not current, and never will be again."""


class Lookup(Generic[Record]):
    """Records of one sort by id."""

    def __init__(
        self,
        client: redis.asyncio.Redis,
        key: Callable[[int], str],
        decode: Callable[[bytes], Record],
        limit: int,
        last_known: LastKnown | None,
    ) -> None:
        self._client = client
        self._last_known = last_known
        self._key = key
        self._decode = decode
        self._limit = limit
        self._entries: dict[int, Entry[Record]] = {}
        self._unknown: dict[int, float] = {}
        self._flights: dict[int, asyncio.Task[Record | None]] = {}
        self._generation = 0
        self._announcements = 0
        self._retry_at = 0.0
        self._away_since: float | None = None

    def get(self, record_id: int) -> Record | None:
        """The record if it is held and current; the hot path."""
        entry = self.entry(record_id)
        return None if entry is None else entry.record

    def entry(self, record_id: int) -> Entry[Record] | None:
        """The same, with what tells when it is current no more."""
        entry = self._entries.get(record_id)
        return entry if entry is not None and entry.generation == self._generation else None

    def hold(self, record_id: int, record: Record, current: bool = True) -> Entry[Record]:
        """Holds a record, instead of the oldest if there are too many."""
        replaced = self._entries.pop(record_id, None)
        if replaced is None and len(self._entries) >= self._limit:
            replaced = self._entries.pop(next(iter(self._entries)))
        if replaced is not None:
            replaced.generation = -1
        entry = self._entries[record_id] = Entry(record, self._generation if current else -1)
        return entry

    async def find(self, record_id: int) -> Record | None:
        """The record from memory or the cache server; None when there is none. Raises `ConfigurationUnavailable`."""
        record = self.get(record_id)
        if record is not None:
            return record
        now = time.monotonic()
        if self._unknown.get(record_id, 0.0) > now:
            return None
        held = self._entries.get(record_id)
        if now < self._retry_at:
            held = held or await self._recall(record_id)
            if held is not None:
                return held.record
        flight = self._flights.get(record_id)
        if flight is None:
            flight = asyncio.create_task(self._fetch(record_id, patient=held is None))
            self._flights[record_id] = flight
            flight.add_done_callback(lambda _: self._flights.pop(record_id, None))
        try:
            # Shielded: one client that goes away must not fail the others that wait for the same record.
            return await asyncio.shield(flight)
        except ConfigurationUnavailable:
            if held is not None:
                return held.record
            raise

    async def _recall(self, record_id: int) -> Entry[Record] | None:
        """The record as an earlier process knew it: from now on held, and looked up again once the server answers."""
        if self._last_known is None:
            return None
        text = await asyncio.to_thread(self._last_known.recall, self._key(record_id))
        if text is None:
            return None
        try:
            record = self._decode(text)
        except (ValueError, TypeError, KeyError) as error:
            _log.error("unreadable record on disk", key=self._key(record_id), error=repr(error))
            return None
        metrics.RECALLED.inc()
        # What was looked up in the meantime is newer.
        return self._entries.get(record_id) or self.hold(record_id, record, current=False)

    async def _fetch(self, record_id: int, patient: bool) -> Record | None:
        while True:
            try:
                record = await self._ask(record_id)
                self._away_since = None
                return record
            except ConfigurationUnavailable:
                now = time.monotonic()
                self._retry_at = now + RETRY_SECONDS
                away_since = self._away_since = self._away_since or now
                if patient and (recalled := await self._recall(record_id)) is not None:
                    return recalled.record
                if not patient or now - away_since >= PATIENCE_SECONDS:
                    raise
            await asyncio.sleep(PATIENCE_STEP_SECONDS)

    async def _ask(self, record_id: int) -> Record | None:
        announcements = self._announcements
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
            if announcements == self._announcements:
                if len(self._unknown) >= UNKNOWN_ENTRIES:
                    del self._unknown[next(iter(self._unknown))]
                self._unknown[record_id] = time.monotonic() + UNKNOWN_SECONDS
            return None
        try:
            record = self._decode(text)
        except (ValueError, TypeError, KeyError) as error:
            _log.error("unreadable record in the cache", key=self._key(record_id), error=repr(error))
            raise ConfigurationUnavailable(f"unreadable record {self._key(record_id)}") from error
        # A change that was announced while the answer was on its way may be newer than the answer.
        if self._last_known is not None:
            self._last_known.note(self._key(record_id))
        fresh = announcements == self._announcements
        self.hold(record_id, record, current=fresh)
        return record

    def announce(self, record_id: int) -> None:
        """A change of this record was published."""
        self._announcements += 1
        self._unknown.pop(record_id, None)
        entry = self._entries.get(record_id)
        if entry is not None:
            entry.generation = -1

    def doubt(self) -> None:
        """An announcement was missed: nothing held is current any more."""
        self._announcements += 1
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


class Lookups:
    """All that an edge process knows of the configuration."""

    def __init__(self, client: redis.asyncio.Redis, trackers: int, last_known: LastKnown | None) -> None:
        self.impressions = Lookup(
            client, lambda number: keys.tracker("imp", number), Tracker.decode, trackers, last_known
        )
        self.clicks = Lookup(client, lambda number: keys.tracker("clk", number), Tracker.decode, trackers, last_known)
        self.members = Lookup(client, keys.member, MemberRecord.decode, trackers, last_known)
        self._by_prefix: dict[str, Lookup[Tracker] | Lookup[MemberRecord]] = {
            keys.tracker("imp", 0).rpartition(":")[0]: self.impressions,
            keys.tracker("clk", 0).rpartition(":")[0]: self.clicks,
            keys.member(0).rpartition(":")[0]: self.members,
        }
        self.doubts = 0
        """How often all that was held became doubtful at once."""

    def announce(self, key: str) -> None:
        """A change of the record under this Redis key was published."""
        prefix, _, number = key.rpartition(":")
        lookup = self._by_prefix.get(prefix)
        if lookup is not None:
            lookup.announce(int(number))

    def doubt(self) -> None:
        """An announcement was missed."""
        self.doubts += 1
        for lookup in (self.impressions, self.clicks, self.members):
            lookup.doubt()
