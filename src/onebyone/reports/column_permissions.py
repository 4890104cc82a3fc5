"""Which columns a user of one advertiser or publisher may name in a report: one table for every way to name them.

A publisher earns the cost, an advertiser pays the revenue, and what remains is the member's: neither sees who is on the
other side, what the other side is paid or pays, or the profit. A column without a row here is for whole members only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from onebyone.auth.caller import Caller
from onebyone.reports.columns import ANALYTICS, FEEDS, REPORT_TYPES

LimitedKind = Literal["advertiser", "publisher"]
"""What a limited user belongs to; `None` beside it stands for a user who sees the whole member."""
KnownColumns = Mapping[str, Any]
"""Column name -> column of the report type."""

_BOTH: frozenset[LimitedKind] = frozenset({"advertiser", "publisher"})
_ADVERTISER: frozenset[LimitedKind] = frozenset({"advertiser"})
_PUBLISHER: frozenset[LimitedKind] = frozenset({"publisher"})
_NEITHER: frozenset[LimitedKind] = frozenset()

LIMITED_KINDS: Mapping[str, Mapping[str, frozenset[LimitedKind]]] = {
    "network_analytics": {
        **dict.fromkeys(("hour", "day", "month"), _BOTH),
        # The one member that both do business with.
        "entity_member_id": _BOTH,
        **dict.fromkeys(("seller_member_id", "seller_member_name"), _BOTH),
        **dict.fromkeys(("buyer_member_id", "buyer_member_name"), _BOTH),
        **dict.fromkeys(("advertiser_id", "advertiser_name", "advertiser_code"), _ADVERTISER),
        **dict.fromkeys(("line_item_id", "line_item_name", "line_item_code"), _ADVERTISER),
        **dict.fromkeys(("insertion_order_id", "insertion_order_name", "insertion_order_code"), _ADVERTISER),
        **dict.fromkeys(("publisher_id", "publisher_name", "publisher_code"), _PUBLISHER),
        **dict.fromkeys(("site_id", "site_name"), _PUBLISHER),
        **dict.fromkeys(("placement_id", "placement_name", "placement_code"), _PUBLISHER),
        **dict.fromkeys(("pub_rule_id", "pub_rule_name", "pub_rule_code"), _PUBLISHER),
        # A tracker's creative is a fixed text for its kind.
        **dict.fromkeys(("imp_type_id", "imp_type", "creative_id", "creative_name", "creative_code"), _BOTH),
        **dict.fromkeys(("imps", "clicks", "external_impression", "external_click", "ctr"), _BOTH),
        **dict.fromkeys(("cost", "cpm"), _PUBLISHER),
        **dict.fromkeys(("booked_revenue", "revenue", "rpm"), _ADVERTISER),
        "profit": _NEITHER,
    },
    # A feed has no filters, so its rows cannot be limited to one advertiser or publisher.
    "clicktrackers": dict.fromkeys(FEEDS["clicktrackers"], _NEITHER),
}
"""Report type -> column -> the limited users who may name it."""


def limited_kind(caller: Caller) -> LimitedKind | None:
    """Return what the caller is limited to; None for a user who sees the whole member."""
    if caller.limit is None:
        return None
    return "advertiser" if caller.limit[0] == "advertiser_id" else "publisher"


def known_columns(report_type: str) -> KnownColumns:
    """Return all columns of a report type by name; an unknown type has none."""
    return ANALYTICS.get(report_type) or FEEDS.get(report_type) or {}


def permitted_columns(report_type: str, kind: LimitedKind | None) -> KnownColumns:
    """Return the columns of a report type that a user of this kind may name."""
    known = known_columns(report_type)
    if kind is None:
        return known
    kinds = LIMITED_KINDS.get(report_type, {})
    return {name: column for name, column in known.items() if kind in kinds.get(name, _NEITHER)}


def hidden_columns(report_type: str, kind: LimitedKind | None) -> Mapping[str, str]:
    """Return column -> why a user of this kind may not name it."""
    permitted = permitted_columns(report_type, kind)
    return {
        name: f"a user of one {kind} may not ask for {name}"
        for name in known_columns(report_type)
        if name not in permitted
    }


def permitted_report_types(kind: LimitedKind | None) -> tuple[str, ...]:
    """Return the report types of which a user of this kind may order any column."""
    return tuple(name for name in REPORT_TYPES if permitted_columns(name, kind))
