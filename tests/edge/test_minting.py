"""Event ids and lines."""

from __future__ import annotations

from onebyone import events
from onebyone.edge import minting
from onebyone.edge.minting import Mint
from onebyone.events import Terms
from tests.edge.edge_process import tracker


def test_ids_are_positive_distinct_and_below_63_bit() -> None:
    mints = [Mint() for _ in range(50)]
    ids = [mint.event_id() for mint in mints for _ in range(200)]
    assert len(set(ids)) == len(ids)
    assert all(0 < number < 2**63 for number in ids)


def test_a_used_up_count_draws_a_new_prefix() -> None:
    mint = Mint()
    first = mint.event_id()
    mint._ids = iter(range(0))
    assert mint.event_id() >> 24 != first >> 24


def test_a_line_is_a_version_1_event() -> None:
    record = tracker("clk", 9, terms=Terms(pricing_type="cpc", revenue_value=5))
    event = events.decode(minting.line(77, 1234, minting.as_of(record), b',"ua":"a\\"b","flags":["x"]'))
    assert (event["id"], event["ts"], event["kind"], event["tracker_id"]) == (77, 1234, "clk", 9)
    assert (event["ua"], event["flags"], event["terms"]) == ('a"b', ["x"], {"pricing_type": "cpc", "revenue_value": 5})
    assert events.decode(minting.line(77, 1234, minting.as_of(record), b""))["tag_id"] == 23
