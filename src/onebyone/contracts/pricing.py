"""The cost and the revenue of one event, from the terms in force when it was received.

The terms travel in the event (`events.py`), so a later change of a payment rule or line item does not
rewrite history.
Source: xandr-api-facts, section 16 ("cost without ancost", "booked revenue").
"""

from __future__ import annotations

from onebyone.contracts.events import Event

PPM = 1_000_000
"""Shares are parts per million: six places, as the API accepts them."""


def booked_revenue(event: Event) -> int:
    """Return the nanos that the line item earns with this event."""
    terms = event.get("terms")
    if not terms:
        return 0
    value = terms.get("revenue_value", 0)
    match terms.get("pricing_type"), event["kind"]:
        case "cpm" | "est_cpm", "imp":
            return value
        case "cpc", "clk":
            return value * 1000
        case "cost_plus_cpm", kind:
            return _price(event) + (value if kind == "imp" else 0)
        case "cost_plus_margin", _:
            return _price(event) * (PPM + value) // PPM
        case _:
            return 0


def media_cost(event: Event) -> int:
    """Return the nanos that this event costs: its `ancost` when it has one, else by the payment rule."""
    terms = event.get("terms")
    if event.get("ancost") is None and terms and not (event["kind"] == "imp" and "cost_cpm" in terms):
        return booked_revenue(event) * terms.get("revshare", 0) // PPM
    return _price(event)


def _price(event: Event) -> int:
    """Return the part of the cost that does not depend on the revenue, so that revenue can depend on it."""
    ancost = event.get("ancost")
    if ancost is not None:
        return ancost * 1000
    return event.get("terms", {}).get("cost_cpm", 0) if event["kind"] == "imp" else 0
