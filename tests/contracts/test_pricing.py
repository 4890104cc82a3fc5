"""What an event costs and earns by the terms it carries."""

from __future__ import annotations

from typing import Any

import pytest

from onebyone.contracts.events import Terms
from onebyone.contracts.pricing import booked_revenue, media_cost

CPM = Terms(pricing_type="cpm", revenue_value=5_000_000, revshare=100_000)
PLUS = Terms(pricing_type="cost_plus_cpm", revenue_value=7)
MARGIN = Terms(pricing_type="cost_plus_margin", revenue_value=200_000)

ROWS: list[tuple[str, dict[str, Any], int, int]] = [
    # name, event, cost nanos, revenue nanos
    ("nothing agreed", {"kind": "imp"}, 0, 0),
    ("ancost", {"kind": "imp", "ancost": 250_000}, 250_000_000, 0),
    ("ancost of nothing", {"kind": "imp", "ancost": 0, "terms": {"cost_cpm": 9}}, 0, 0),
    ("cpm rule", {"kind": "imp", "terms": {"cost_cpm": 2_500_000}}, 2_500_000, 0),
    ("cpm rule, click", {"kind": "clk", "terms": {"cost_cpm": 2_500_000}}, 0, 0),
    ("revenue share", {"kind": "imp", "terms": CPM}, 500_000, 5_000_000),
    ("revenue share, click of a cpm line item", {"kind": "clk", "terms": CPM}, 0, 0),
    ("cpc", {"kind": "clk", "terms": {"pricing_type": "cpc", "revenue_value": 1_000_000}}, 0, 1_000_000_000),
    ("ancost overrides the rule", {"kind": "imp", "ancost": 1, "terms": CPM}, 1000, 5_000_000),
    ("estimated cpm", {"kind": "imp", "terms": {"pricing_type": "est_cpm", "revenue_value": 7}}, 0, 7),
    (
        "viewable cpm: nobody measures views",
        {"kind": "imp", "terms": {"pricing_type": "vcpm", "revenue_value": 7}},
        0,
        0,
    ),
    ("cost plus cpm", {"kind": "imp", "terms": {**PLUS, "cost_cpm": 5_000}}, 5_000, 5_007),
    ("cost plus cpm, click with ancost", {"kind": "clk", "ancost": 3, "terms": PLUS}, 3_000, 3_000),
    ("cost plus cpm under a revenue share", {"kind": "imp", "terms": {**PLUS, "revshare": 500_000}}, 3, 7),
    ("cost plus a margin of a fifth", {"kind": "imp", "ancost": 100, "terms": MARGIN}, 100_000, 120_000),
    ("cost plus a margin of nothing", {"kind": "clk", "terms": MARGIN}, 0, 0),
    ("flat fee", {"kind": "imp", "terms": {"pricing_type": "flat_fee", "revenue_value": 7}}, 0, 0),
]


@pytest.mark.parametrize(("event", "cost", "revenue"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_cost_and_revenue(event: Any, cost: int, revenue: int) -> None:
    assert (media_cost(event), booked_revenue(event)) == (cost, revenue)
