"""The terms of an event, checked before money is computed from them, and the row of a click."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ada_url

from onebyone.contracts.events import AS_OF, Event, EventError
from onebyone.contracts.pricing import PPM

PRICE_END = 10**15
"""Refuse prices (micros) of a billion currency units or more, so that sums stay far below 64 bits."""

_PRICES = ("revenue_value", "cost_cpm", "commission_cpm")
_SHARES = ("revshare", "commission_revshare")
_IDS = ("tracker_id", *AS_OF)


def check_terms(event: Event) -> None:
    """Raise `EventError` unless every term has its type and range."""
    terms: Mapping[str, Any] = event["terms"]
    for names, end in ((_PRICES, PRICE_END), (_SHARES, PPM + 1)):
        for name in names:
            value = terms.get(name, 0)
            if type(value) is not int or not 0 <= value < end:
                raise EventError("bad_terms", f"{name} is {value!r:.100}")
    pricing_type = terms.get("pricing_type", "none")
    if type(pricing_type) is not str or not (pricing_type.isascii() and pricing_type.isidentifier()):
        raise EventError("bad_terms", f"pricing_type is {pricing_type!r:.100}")


def click_row(event: Event) -> dict[str, Any]:
    """Return the row of the click feed. Raise `EventError` for a `user_id` out of range."""
    user_id = user_id_of(event)
    terms = event.get("terms", {})
    row: dict[str, Any] = {name: event[name] for name in _IDS}  # type: ignore[literal-required]
    row["event_id"] = event["id"]
    row["ts"] = event["ts"]
    row["site_domain"] = site_domain(event.get("ref"))
    row["ancost"] = event.get("ancost")
    row["user_id"] = user_id
    row["pricing_type"] = terms.get("pricing_type", "none")[:32]
    row["revenue_value"] = terms.get("revenue_value", 0)
    row["revshare"] = terms.get("revshare", 0)
    row["commission_cpm"] = terms.get("commission_cpm", 0)
    row["commission_revshare"] = terms.get("commission_revshare", 0)
    return row


def user_id_of(event: Event) -> int:
    """Return the `user_id` of an event. Raise `EventError` if it is out of range."""
    user_id = event.get("user_id", 0)
    if type(user_id) is not int or not -1 <= user_id < 2**63:
        raise EventError("bad_event", f"user_id is {user_id!r:.100}")
    return user_id


def site_domain(referrer: Any) -> str:
    """Return the ASCII host of a web referrer, without its port; empty when there is none."""
    if type(referrer) is not str or not referrer.lower().startswith(("http://", "https://")):
        return ""
    try:
        return ada_url.URL(referrer).hostname[:255]
    except ValueError:
        return ""
