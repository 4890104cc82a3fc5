"""What objects do not show to a user of one advertiser or publisher: names of the other side, its money and the profit.

Ids stay, because a tracker is written with them; names and amounts become null.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Table

from onebyone.auth.caller import Caller
from onebyone.reports.column_permissions import hidden_columns, limited_kind
from onebyone.resources.entity import Entity, Values

_STATS: Mapping[str, str] = {"media_cost": "cost", "booked_revenue": "booked_revenue", "profit": "profit"}
"""Key of an element of `all_stats` -> the report column that shows the same amount."""
_NAMING_OTHERS: Values = {"thirdparty_pixels": None, "redirect_domains": []}
"""Field of the member -> what a limited user sees in it."""
_OWNERS = ("advertiser", "publisher")


def hide_other_side(entity: Entity, caller: Caller, values: Values) -> Values:
    """Return an object as the caller may see it; `values` are those of an object that it may see at all."""
    kind = limited_kind(caller)
    if kind is None:
        return values
    shown = dict(values)
    for link in entity.links:
        if _owner(link.target) in (None, kind):
            continue
        if link.nested and shown.get(link.field):
            shown[link.field] = {**shown[link.field], "name": None}
        if link.name_field in shown:
            shown[link.name_field] = None
    if shown.get("all_stats"):
        hidden = hidden_columns("network_analytics", kind)
        shown["all_stats"] = [
            {key: None if _STATS.get(key) in hidden else value for key, value in element.items()}
            for element in shown["all_stats"]
        ]
    if entity.service == "member":
        # They name whom the member works with; a limited user cannot read these pixels themselves.
        shown |= {name: empty for name, empty in _NAMING_OTHERS.items() if name in shown}
    return shown


def _owner(table: Table) -> str | None:
    """Return whose business a table holds: `advertiser`, `publisher`, or None for neither."""
    return next((name for name in _OWNERS if table.name == name or f"{name}_id" in table.c), None)
