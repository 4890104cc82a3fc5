"""The event record: what is read, what is refused with which reason, and how an old version is upgraded."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from onebyone.contracts import events
from onebyone.contracts.events import AS_OF, EventError

GOOD: dict[str, Any] = {"v": 1, "id": 5, "ts": 1000, "kind": "imp", "tracker_id": 3, **dict.fromkeys(AS_OF, 1)}


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
    ("newer version", line(v=2), "unknown_version"),
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
]


@pytest.mark.parametrize(("text", "reason"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
def test_an_uncountable_record_has_a_reason(text: bytes, reason: str) -> None:
    with pytest.raises(EventError) as caught:
        events.decode_event(text)
    assert caught.value.reason == reason


def test_an_older_version_is_upgraded_step_by_step() -> None:
    def from_minus_1(record: dict[str, Any]) -> dict[str, Any]:
        record["kind"] = {"impression": "imp"}[record.pop("type")]
        return record

    def from_0(record: dict[str, Any]) -> dict[str, Any]:
        record["tag_id"] = record.pop("placement_id", 0)
        return record

    old = {name: value for name, value in GOOD.items() if name not in ("kind", "tag_id")}
    old |= {"v": -1, "type": "impression", "placement_id": 1}
    assert events.decode_event(orjson.dumps(old), {-1: from_minus_1, 0: from_0}) == GOOD


def test_every_older_version_has_a_step() -> None:
    assert sorted(events.UPGRADES) == list(range(1, events.VERSION))
