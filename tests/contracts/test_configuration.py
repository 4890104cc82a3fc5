"""Records of the cache round-trip, and readers of an older version ignore the keys that they do not know."""

from __future__ import annotations

import orjson

from onebyone.contracts.configuration import Head, MemberRecord, TrackerRecord
from onebyone.contracts.events import Terms
from tests.edge.edge_process import tracker


def test_records_round_trip() -> None:
    record = tracker("clk", 5, click_url="https://landing.example/ü", terms=Terms(revshare=5))
    assert TrackerRecord.decode(record.encode()) == record
    member = MemberRecord(7, "any", ("a.example",), ("b.example", "c.example"))
    assert MemberRecord.decode(member.encode()) == member
    assert Head.decode(Head("store:with:colons", 12).encode().encode()) == Head("store:with:colons", 12)


def test_unknown_keys_are_ignored() -> None:
    newer = orjson.dumps({**orjson.loads(tracker("imp", 5).encode()), "novel": 1})
    assert TrackerRecord.decode(newer) == tracker("imp", 5)
