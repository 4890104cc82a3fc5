"""Event ids and lines."""

from __future__ import annotations

from onebyone import events
from onebyone.clock import now_ms
from onebyone.edge import minting
from onebyone.edge.minting import Mint
from onebyone.events import Terms
from tests.edge.edge_process import tracker


def number(mint: Mint) -> int:
    (line,) = mint.lines((minting.as_of(tracker("imp", 1)),), (b"",))
    return events.decode(line)["id"]


def test_ids_are_positive_distinct_and_below_63_bit() -> None:
    mints = [Mint() for _ in range(50)]
    ids = [number(mint) for mint in mints for _ in range(200)]
    assert len(set(ids)) == len(ids)
    assert all(0 < found < 2**63 for found in ids)


def test_a_used_up_count_draws_a_new_prefix() -> None:
    mint = Mint()
    first = number(mint)
    mint._ids = iter(range(0))
    assert number(mint) >> 24 != first >> 24


def test_a_count_may_be_used_up_in_the_midst_of_a_turn() -> None:
    mint = Mint()
    last = number(mint)
    mint._ids = iter(range(last + 1, last + 3))
    lines = mint.lines([minting.as_of(tracker("imp", 1))] * 5, [b""] * 5)
    ids = [events.decode(line)["id"] for line in lines]
    assert ids[:2] == [last + 1, last + 2]
    assert len({last, *ids}) == 6
    assert len({found >> 24 for found in ids[2:]}) == 1


def test_a_line_is_a_version_1_event() -> None:
    before = now_ms()
    record = tracker("clk", 9, terms=Terms(pricing_type="cpc", revenue_value=5))
    (line,) = Mint().lines((minting.as_of(record),), (b',"ua":"a\\"b","flags":["x"]',))
    event = events.decode(line)
    assert (event["v"], event["kind"], event["tracker_id"], event["tag_id"]) == (1, "clk", 9, 23)
    assert before <= event["ts"] <= now_ms()
    assert (event["ua"], event["flags"], event["terms"]) == ('a"b', ["x"], {"pricing_type": "cpc", "revenue_value": 5})
