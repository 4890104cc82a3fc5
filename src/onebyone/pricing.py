"""What one event costs and earns, from the terms that were in force when it was received.

The terms travel in the event (`events.py`), so a later change of a payment rule or line item never rewrites history.
Reading of the sources: xandr-api-facts, section 16 ("cost without ancost", "booked revenue").
"""

from __future__ import annotations

from onebyone.events import Event

PPM = 1_000_000


def booked_revenue(event: Event) -> int:
    """Nanos that the line item earns with this event."""
    terms = event.get("terms")
    if not terms:
        return 0
    value = terms.get("revenue_value", 0)
    match terms.get("pricing_type"), event["kind"]:
        case "cpm", "imp":
            return value
        case "cpc", "clk":
            return value * 1000
        case _:
            return 0


def media_cost(event: Event) -> int:
    """Nanos that this event costs: its `ancost` when it carries one, else what the payment rule says."""
    ancost = event.get("ancost")
    if ancost is not None:
        return ancost * 1000
    terms = event.get("terms")
    if not terms:
        return 0
    if event["kind"] == "imp" and "cost_cpm" in terms:
        return terms["cost_cpm"]
    return booked_revenue(event) * terms.get("revshare", 0) // PPM
