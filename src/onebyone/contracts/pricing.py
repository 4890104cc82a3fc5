"""What one event costs and earns, from the terms that were in force when it was received.

The terms travel in the event (`events.py`), so a later change of a payment rule or line item never rewrites history.
Reading of the sources: xandr-api-facts, section 16 ("cost without ancost", "booked revenue").
"""

from __future__ import annotations

from onebyone.contracts.events import Event

PPM = 1_000_000


def booked_revenue(event: Event) -> int:
    """Nanos that the line item earns with this event."""
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
    """Nanos that this event costs: its `ancost` when it carries one, else what the payment rule says."""
    terms = event.get("terms")
    if event.get("ancost") is None and terms and not (event["kind"] == "imp" and "cost_cpm" in terms):
        return booked_revenue(event) * terms.get("revshare", 0) // PPM
    return _price(event)


def _price(event: Event) -> int:
    """The part of the cost that is no share of the revenue, so that revenue can be made of it."""
    ancost = event.get("ancost")
    if ancost is not None:
        return ancost * 1000
    return event.get("terms", {}).get("cost_cpm", 0) if event["kind"] == "imp" else 0
