"""Records of one kind in memory: no Redis call while an entry is current, and one shared look-up per id on a miss.

An entry is *current* until a change of its key is announced or an announcement may have been missed (`watcher.py`);
it is then looked up again before its next use. While the cache server is unreachable, the last known record stays in
use: the one in memory, else the one in the snapshot on disk (`snapshot.py`).
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
from onebyone.edge import metrics
from onebyone.edge.configuration.snapshot import ConfigSnapshot
from onebyone.runtime.redis_client import Unavailable

NEGATIVE_SECONDS = 1.0
"""How long an id is remembered as unknown. A new tracker is announced anyway, so this only limits the damage of a lost
announcement."""
NEGATIVE_ENTRIES = 10_000
"""Unknown ids that are remembered: about a megabyte, so that requests with random ids cannot fill the memory."""
MISS_TIMEOUT_SECONDS = 2.0
"""How long after the cache server went away a request still waits for a record that is not held: the server may only be
restarting, and a person who clicked should reach the landing page."""
MISS_RETRY_SECONDS = 0.05
"""Pause between the attempts of such a request: short against the delay that a person notices."""
HELD_RETRY_SECONDS = 0.5
"""After a failed look-up, how long records that are held are used without asking the cache server: a request must not
wait for a time-out that the last one has just run into."""

Record = TypeVar("Record")

_log = structlog.get_logger()


class ConfigurationUnavailable(Exception):
    """The cache server cannot say whether the record exists: it is unreachable, or it is being refilled."""


@dataclass(slots=True)
class Entry(Generic[Record]):
    """A record in memory."""

    record: Record
    generation: int
    """The generation of the `RecordCache` when the record was looked up; -1 once this entry is invalid or replaced."""


class RecordCache(Generic[Record]):
    """Cache the records of one kind by id. Call every method on the event loop's thread."""

    def __init__(
        self,
        client: redis.asyncio.Redis,
        key: Callable[[int], str],
        decode: Callable[[bytes], Record],
        limit: int,
        snapshot: ConfigSnapshot | None,
    ) -> None:
        """Hold up to `limit` records; `key` returns the Redis key of an id, `decode` the record of the value there."""
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
        """Return the record if it is in memory and current, else None. The hot path."""
        entry = self.entry(record_id)
        return None if entry is None else entry.record

    def entry(self, record_id: int) -> Entry[Record] | None:
        """Like `get`, but return the entry, whose `generation` shows when it has been invalidated."""
        entry = self._entries.get(record_id)
        return entry if entry is not None and entry.generation == self._generation else None

    def store(self, record_id: int, record: Record, current: bool = True) -> Entry[Record]:
        """Put a record into memory, evicting the oldest when the cache is full. Return its entry.

        A record that is not `current` is used only while the cache server cannot be asked.
        """
        replaced = self._entries.pop(record_id, None)
        if replaced is None and len(self._entries) >= self._limit:
            replaced = self._entries.pop(next(iter(self._entries)))
        if replaced is not None:
            replaced.generation = -1
        entry = self._entries[record_id] = Entry(record, self._generation if current else -1)
        return entry

    async def fetch(self, record_id: int) -> Record | None:
        """Return the record from memory or from the cache server, None if it does not exist.

        Concurrent calls for one id share one look-up. While the server is unreachable, return the record as last known.
        Raise `ConfigurationUnavailable` if there is none.
        """
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
            # Shielded: a client that disconnects must not cancel the look-up that others share.
            return await asyncio.shield(request)
        except ConfigurationUnavailable:
            if held is not None:
                return held.record
            raise

    async def _load_from_snapshot(self, record_id: int) -> Entry[Record] | None:
        """Put the record as an earlier process knew it into memory, to be looked up again once the server answers."""
        if self._snapshot is None:
            return None
        encoded = await asyncio.to_thread(self._snapshot.load, self._key(record_id))
        if encoded is None:
            return None
        try:
            record = self._decode(encoded)
        except (ValueError, TypeError, KeyError) as error:
            _log.error("unreadable record in the snapshot on disk", key=self._key(record_id), error=repr(error))
            return None
        metrics.SNAPSHOT_READS.inc()
        # A record that was looked up in the meantime is newer.
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
                if patient and (entry := await self._load_from_snapshot(record_id)) is not None:
                    return entry.record
                if not patient or now - unavailable_since >= MISS_TIMEOUT_SECONDS:
                    raise
            await asyncio.sleep(MISS_RETRY_SECONDS)

    async def _query(self, record_id: int) -> Record | None:
        invalidations = self._invalidations
        try:
            pipe = self._client.pipeline(transaction=False)
            pipe.get(self._key(record_id))
            pipe.exists(keys.HEAD)
            encoded, complete = await pipe.execute()
        except Unavailable as error:
            raise ConfigurationUnavailable(str(error)) from error
        if encoded is None and not complete:
            raise ConfigurationUnavailable("the cache is being refilled")
        if encoded is None:
            if (deleted := self._entries.pop(record_id, None)) is not None:
                deleted.generation = -1
            if invalidations == self._invalidations:
                if len(self._unknown) >= NEGATIVE_ENTRIES:
                    del self._unknown[next(iter(self._unknown))]
                self._unknown[record_id] = time.monotonic() + NEGATIVE_SECONDS
            return None
        try:
            record = self._decode(encoded)
        except (ValueError, TypeError, KeyError) as error:
            _log.error("unreadable record in the cache", key=self._key(record_id), error=repr(error))
            raise ConfigurationUnavailable(f"unreadable record {self._key(record_id)}") from error
        if self._snapshot is not None:
            self._snapshot.remember(self._key(record_id))
        # A change that was announced while the reply was on its way may be newer than the reply.
        self.store(record_id, record, current=invalidations == self._invalidations)
        return record

    def invalidate(self, record_id: int) -> None:
        """Mark this record for a new look-up before its next use: a change of it was published."""
        self._invalidations += 1
        self._unknown.pop(record_id, None)
        entry = self._entries.get(record_id)
        if entry is not None:
            entry.generation = -1

    def invalidate_all(self) -> None:
        """Mark every record for a new look-up before its next use: an announcement may have been missed."""
        self._invalidations += 1
        self._generation += 1
        self._unknown.clear()

    def __len__(self) -> int:
        return len(self._entries)
