"""The configuration in the memory of one edge process: impression trackers, click trackers and members."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import redis.asyncio

from onebyone.contracts import keys
from onebyone.contracts.configuration import MemberRecord, TrackerRecord
from onebyone.edge.configuration.record_cache import RecordCache
from onebyone.edge.configuration.snapshot import ConfigSnapshot
from onebyone.edge.journal import event_ids


@dataclass(frozen=True, slots=True)
class Tracker:
    """The part of a tracker record that responses need, and its event fragment. Small: a process may hold many."""

    member_id: int
    active: bool
    click_url: str | None
    fragment: bytes
    """The beginning of every event line of this tracker, see `event_ids.tracker_fragment`."""

    @classmethod
    def decode(cls, encoded: bytes) -> Tracker:
        """Return the tracker of an encoded `TrackerRecord`."""
        record = TrackerRecord.decode(encoded)
        return cls(record.member_id, record.active, record.click_url, event_ids.tracker_fragment(record))


class ConfigCache:
    """The trackers and members that one edge process holds in memory."""

    def __init__(self, client: redis.asyncio.Redis, limit: int, snapshot: ConfigSnapshot | None) -> None:
        """Hold up to `limit` impression trackers, as many click trackers and as many members."""
        self.impressions = RecordCache(client, partial(keys.tracker_key, "imp"), Tracker.decode, limit, snapshot)
        self.clicks = RecordCache(client, partial(keys.tracker_key, "clk"), Tracker.decode, limit, snapshot)
        self.members = RecordCache(client, keys.member_key, MemberRecord.decode, limit, snapshot)
        self._by_prefix: dict[str, RecordCache[Tracker] | RecordCache[MemberRecord]] = {
            keys.tracker_key("imp", 0).rpartition(":")[0]: self.impressions,
            keys.tracker_key("clk", 0).rpartition(":")[0]: self.clicks,
            keys.member_key(0).rpartition(":")[0]: self.members,
        }
        self.epoch = 0
        """Grows with each `invalidate_all`, so that a caller can tell when to drop what it derived from records."""

    def invalidate(self, key: str) -> None:
        """Mark the record under this Redis key for a new look-up before its next use. Ignore keys of other kinds."""
        prefix, _, record_id = key.rpartition(":")
        records = self._by_prefix.get(prefix)
        if records is not None:
            records.invalidate(int(record_id))

    def invalidate_all(self) -> None:
        """Mark every record for a new look-up before its next use."""
        self.epoch += 1
        for records in (self.impressions, self.clicks, self.members):
            records.invalidate_all()
