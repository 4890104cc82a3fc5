"""The sample: one member, two advertisers, two publishers, two line items and six trackers; every start reuses them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from onebyone.contracts.events import Kind
from onebyone.demo.api import Api

MEMBER = "Demo"


@dataclass(frozen=True, slots=True)
class Tracker:
    """A tracker of the sample. `weight` is its share of the traffic."""

    kind: Kind
    id: int
    name: str
    weight: int


def create_sample(api: Api) -> list[Tracker]:
    """Create what is missing and return the six trackers. Raise `ApiError` if the API refuses a call."""
    member = api.call("GET", "member")["member"]
    api.call("PUT", "member", {"member": {"name": MEMBER}}, id=member["id"])
    shoes = api.ensure("advertiser", "demo-shoes", {"name": "Acorn Shoes"})
    trips = api.ensure("advertiser", "demo-trips", {"name": "Borealis Trips"})
    news = api.ensure("publisher", "demo-news", {"name": "The Daily Sample"})
    food = api.ensure("publisher", "demo-food", {"name": "Pots and Pans"})
    cpm = api.ensure(
        "payment-rule",
        "demo-cpm",
        {"name": "1.20 a thousand", "pricing_type": "cpm", "cost_cpm": 1.2},
        publisher_id=news["id"],
    )
    sneakers = _line_item(api, shoes, "demo-sneakers", "Spring sneakers", "cpm", 2.5)
    cabins = _line_item(api, trips, "demo-cabins", "Winter cabins", "cpc", 0.35)
    paid = {"payment_rule": {"id": cpm["id"]}}
    return [
        _tracker(api, "imp", 8, "Sneakers banner on news", "demo-imp-1", shoes, news, sneakers, paid),
        _tracker(api, "imp", 5, "Sneakers banner on food", "demo-imp-2", shoes, food, sneakers, {}),
        _tracker(api, "imp", 4, "Cabins banner on news", "demo-imp-3", trips, news, cabins, paid),
        _tracker(api, "imp", 3, "Cabins banner on food", "demo-imp-4", trips, food, cabins, {}),
        _tracker(
            api,
            "clk",
            1,
            "Sneakers click",
            "demo-clk-1",
            shoes,
            news,
            sneakers,
            {"click_url": "https://example.com/shoes"},
        ),
        _tracker(
            api,
            "clk",
            1,
            "Cabins click",
            "demo-clk-2",
            trips,
            food,
            cabins,
            {"click_url": "https://example.com/cabins"},
        ),
    ]


def _line_item(api: Api, advertiser: dict[str, Any], code: str, name: str, kind: str, value: float) -> dict[str, Any]:
    fields = {"name": name, "revenue_type": kind, "revenue_value": value}
    return api.ensure("line-item", code, fields, advertiser_id=advertiser["id"])


def _tracker(
    api: Api,
    kind: Kind,
    weight: int,
    name: str,
    code: str,
    advertiser: dict[str, Any],
    publisher: dict[str, Any],
    line_item: dict[str, Any],
    more: dict[str, Any],
) -> Tracker:
    service = "imptracker" if kind == "imp" else "clicktracker"
    fields = {"name": name, "publisher": {"id": publisher["id"]}, "line_item": {"id": line_item["id"]}, **more}
    tracker = api.ensure(service, code, fields, advertiser_id=advertiser["id"])
    return Tracker(kind, tracker["id"], tracker["name"], weight)
