"""The event record: what is read, what is refused with which reason, and how an old version is upgraded."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from onebyone.contracts import events
from onebyone.contracts.events import AS_OF, EventError

GOOD: dict[str, Any] = {"v": 2, "id": 5, "ts": 1000, "kind": "imp", "tracker_id": 3, **dict.fromkeys(AS_OF, 1)}


def line(**changes: Any) -> bytes:
    return orjson.dumps({**GOOD, **changes})


def test_a_record_is_read_with_its_unknown_fields() -> None:
    event: Any = events.decode_event(line(novel={"a": 1}))
    assert event == {**GOOD, "novel": {"a": 1}}


BAD: list[tuple[str, bytes, str]] = [
    ("no json", b'{"v":1', "bad_json"),
    ("no object", b"[1]", "bad_json"),
    ("lone surrogate", b'{"v":1,"ua":"\\ud800"}', "bad_json"),
    ("no version", orjson.dumps({}), "unknown_version"),
    ("newer version", line(v=3), "unknown_version"),
    ("version as text", line(v="1"), "unknown_version"),
    ("id beyond 63 bit", line(id=2**63), "bad_event"),
    ("negative time", line(ts=-1), "bad_event"),
    ("id as text", line(tracker_id="3"), "bad_event"),
    ("id as truth value", line(member_id=True), "bad_event"),
    ("missing id", orjson.dumps({name: value for name, value in GOOD.items() if name != "tag_id"}), "bad_event"),
    ("unknown kind", line(kind="view"), "bad_event"),
    ("cost too high", line(ancost=10**12), "bad_event"),
    ("cost as fraction", line(ancost=0.5), "bad_event"),
    ("terms as list", line(terms=[]), "bad_event"),
    ("reason as number", line(reason=1), "bad_event"),
    ("empty reason", line(reason=""), "bad_event"),
    ("reason that is no code", line(reason="Not a code"), "bad_event"),
    ("reason of 33 characters", line(reason="r" * 33), "bad_event"),
    ("summary without a reason", line(requests=5), "bad_event"),
    ("summary of nothing", line(reason="bad_id", requests=0), "bad_event"),
    ("summary of too much", line(reason="bad_id", requests=10**12), "bad_event"),
    ("summary of a truth value", line(reason="bad_id", requests=True), "bad_event"),
    ("bucket of half an hour", line(bucket=1800), "bad_event"),
    ("bucket as fraction", line(bucket=900.0), "bad_event"),
]


@pytest.mark.parametrize(("text", "reason"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
def test_an_uncountable_record_has_a_reason(text: bytes, reason: str) -> None:
    with pytest.raises(EventError) as caught:
        events.decode_event(text)
    assert caught.value.reason == reason


def test_an_older_version_is_upgraded_step_by_step() -> None:
    def from_0(record: dict[str, Any]) -> dict[str, Any]:
        record["kind"] = {"impression": "imp"}[record.pop("type")]
        return record

    def from_1(record: dict[str, Any]) -> dict[str, Any]:
        record["tag_id"] = record.pop("placement_id", 0)
        return record

    old = {name: value for name, value in GOOD.items() if name not in ("kind", "tag_id")}
    old |= {"v": 0, "type": "impression", "placement_id": 1}
    assert events.decode_event(orjson.dumps(old), {0: from_0, 1: from_1}) == GOOD


def test_version_1_is_read_as_a_counted_event_of_this_version() -> None:
    event: Any = events.decode_event(line(v=1, cb="7"))
    assert event == {**GOOD, "cb": "7"}


@pytest.mark.parametrize("name", ["reason", "act", "view", "test"])
def test_fields_of_this_version_are_kept(name: str) -> None:
    event: Any = events.decode_event(line(**{name: "prefetch"}))
    assert event[name] == "prefetch"


@pytest.mark.parametrize("bucket", events.BUCKETS)
def test_both_buckets_are_read(bucket: int) -> None:
    assert events.decode_event(line(bucket=bucket))["bucket"] == bucket


def test_every_older_version_has_a_step() -> None:
    assert sorted(events.UPGRADES) == list(range(1, events.VERSION))
