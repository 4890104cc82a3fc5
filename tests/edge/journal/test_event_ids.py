"""Event ids, head lines, and what an event's line is unpacked to."""

from __future__ import annotations

import pytest

from onebyone.clock import now_ms
from onebyone.contracts import batches, events
from onebyone.contracts.events import Event, Terms
from onebyone.edge.journal import event_ids
from onebyone.edge.journal.event_ids import IdAllocator
from tests.edge.edge_process import tracker

LINE = event_ids.tracker_fragment(tracker("imp", 1))


def minted(mint: IdAllocator, count: int = 1, line: bytes = LINE) -> list[Event]:
    return [events.decode(one) for one in batches.unpack(batches.pack([mint.head_line(count), *[line] * count]))]


def ids(mint: IdAllocator, count: int = 1) -> list[int]:
    return [event["id"] for event in minted(mint, count)]


@pytest.mark.parametrize("count", [1, 7], ids=["alone", "in groups"])
def test_ids_are_positive_distinct_and_below_63_bit(count: int) -> None:
    mints = [IdAllocator() for _ in range(50)]
    found = [number for mint in mints for _ in range(200) for number in ids(mint, count)]
    assert len(set(found)) == len(found) == 50 * 200 * count
    assert all(0 < number < 2**63 for number in found)


def test_a_used_up_count_draws_a_new_prefix() -> None:
    mint = IdAllocator()
    (first,) = ids(mint)
    mint._next = mint._end
    assert ids(mint)[0] >> 24 != first >> 24


@pytest.mark.parametrize(("left", "kept"), [(5, True), (4, False), (0, False)])
def test_a_group_is_below_one_prefix(left: int, kept: bool) -> None:
    mint = IdAllocator()
    (last,) = ids(mint)
    mint._next = mint._end - left
    found = ids(mint, 5)
    assert {number >> 24 for number in found} == {found[0] >> 24}
    assert (found[0] >> 24 == last >> 24) is kept
    assert found == list(range(found[0], found[0] + 5))
    assert ids(mint)[0] not in (last, *found)


def test_an_event_is_of_version_1_and_of_now() -> None:
    before = now_ms()
    record = tracker("clk", 9, terms=Terms(pricing_type="cpc", revenue_value=5))
    (event,) = minted(IdAllocator(), line=event_ids.tracker_fragment(record) + b',"ua":"a\\"b","flags":["x"]')
    assert (event["v"], event["kind"], event["tracker_id"], event["tag_id"]) == (1, "clk", 9, 23)
    assert before <= event["ts"] <= now_ms()
    assert (event["ua"], event["flags"], event["terms"]) == ('a"b', ["x"], {"pricing_type": "cpc", "revenue_value": 5})
