"""Time zone and currency, which an object has from its owner unless a caller sets them."""

from __future__ import annotations

from onebyone.resources.entity import Values


def inherit_zone_and_currency(values: Values, owner: Values, currency_field: str = "currency") -> None:
    """Set the time zone and the currency that are missing to those of the owner's row."""
    values["timezone"] = values["timezone"] or owner["doc"]["timezone"]
    values[currency_field] = values[currency_field] or owner["doc"]["default_currency"]
