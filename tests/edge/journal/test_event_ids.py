"""Event ids, head lines, and the events that unpacking gives back."""

from __future__ import annotations

import pytest

from onebyone.clock import now_ms
from onebyone.contracts import batches, events
from onebyone.contracts.events import Event, Terms
from onebyone.edge.journal import event_ids
from onebyone.edge.journal.event_ids import IdAllocator
from tests.edge.edge_process import tracker

LINE = event_ids.tracker_fragment(tracker("imp", 1))


def unpacked_events(allocator: IdAllocator, count: int = 1, line: bytes = LINE) -> list[Event]:
    return [
        events.decode_event(record)
        for record in batches.unpack(batches.pack([allocator.head_line(count), *[line] * count]))
    ]


def ids(allocator: IdAllocator, count: int = 1) -> list[int]:
    return [event["id"] for event in unpacked_events(allocator, count)]


@pytest.mark.parametrize("count", [1, 7], ids=["alone", "in groups"])
def test_ids_are_positive_distinct_63_bit_numbers(count: int) -> None:
    allocators = [IdAllocator() for _ in range(50)]
    drawn = [event_id for allocator in allocators for _ in range(200) for event_id in ids(allocator, count)]
    assert len(set(drawn)) == len(drawn) == 50 * 200 * count
    assert all(0 < event_id < 2**63 for event_id in drawn)


def test_an_exhausted_count_draws_a_new_prefix() -> None:
    allocator = IdAllocator()
    (first,) = ids(allocator)
    allocator._next = allocator._end
    assert ids(allocator)[0] >> 24 != first >> 24


@pytest.mark.parametrize(("left", "kept"), [(5, True), (4, False), (0, False)])
def test_the_ids_of_a_group_share_one_prefix(left: int, kept: bool) -> None:
    allocator = IdAllocator()
    (last,) = ids(allocator)
    allocator._next = allocator._end - left
    drawn = ids(allocator, 5)
    assert {event_id >> 24 for event_id in drawn} == {drawn[0] >> 24}
    assert (drawn[0] >> 24 == last >> 24) is kept
    assert drawn == list(range(drawn[0], drawn[0] + 5))
    assert ids(allocator)[0] not in (last, *drawn)


def test_an_event_has_the_current_version_and_the_present_time() -> None:
    before = now_ms()
    record = tracker("clk", 9, terms=Terms(pricing_type="cpc", revenue_value=5))
    (event,) = unpacked_events(IdAllocator(), line=event_ids.tracker_fragment(record) + b',"ua":"a\\"b","flags":["x"]')
    assert (event["v"], event["kind"], event["tracker_id"], event["tag_id"]) == (events.VERSION, "clk", 9, 23)
    assert before <= event["ts"] <= now_ms()
    assert (event["ua"], event["flags"], event["terms"]) == ('a"b', ["x"], {"pricing_type": "cpc", "revenue_value": 5})
