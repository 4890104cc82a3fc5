"""Every column of every report type, one row each: how it is grouped, computed and shown.

A dimension names a group key (`analytics.py` has its SQL) and how a value of it is shown, or the object that it is
looked up in. A metric is computed from the sums of its group. Money is in nanos.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any, Literal, NamedTuple

from onebyone.contracts.money import NANOS, format_nanos

ColumnType = Literal["date", "int", "string", "money", "double"]
Number = int | Fraction


class Sums(NamedTuple):
    """What the events of one group add up to; money in nanos."""

    imps: int
    clicks: int
    cost: int
    revenue: int


@dataclass(frozen=True, slots=True)
class Dimension:
    """A column that groups; `lookup` is (object, field) of a text that the configuration store knows."""

    name: str
    type: ColumnType
    key: str
    show: Callable[[Any], int | str] = lambda value: value
    lookup: tuple[str, str] | None = None
    filterable: bool = False


@dataclass(frozen=True, slots=True)
class Metric:
    """A column that measures."""

    name: str
    type: ColumnType
    value: Callable[[Sums], Number]

    @property
    def scale(self) -> int:
        """What one of the column's unit is in `value`."""
        return NANOS if self.type == "money" else 1


def show_number(value: Number, column_type: ColumnType) -> str:
    """Text of a metric, with at most six places."""
    if column_type == "money":
        text = format_nanos(round(value))
        return "0.00" if text == "-0.00" else text
    if column_type == "double":
        return f"{round(value * 1_000_000) / 1_000_000:.6f}".rstrip("0").rstrip(".")
    return str(value)


def show_hour(local: int) -> str:
    """`YYYY-MM-DD HH:00:00` of wall seconds."""
    return datetime.fromtimestamp(local, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _show_day(days: int) -> str:
    return datetime.fromtimestamp(days * 86_400, UTC).strftime("%Y-%m-%d")


def _show_month(number: int) -> str:
    return f"{number // 100:04d}-{number % 100:02d}"


IMP_TYPES: Mapping[str, tuple[int, str, str]] = {
    "imp": (9, "External Impression", "External Imps"),
    "clk": (10, "External Click", "External Clicks"),
}
"""Kind of event -> imp_type_id, imp_type, and what stands in the creative columns."""


def _show_creative(kind: str) -> str:
    return IMP_TYPES[kind][2]


def _per_thousand_imps(amount: int, imps: int) -> Number:
    return Fraction(amount * 1000, imps) if imps else 0


def _object(name: str, key: str, *fields: str) -> list[Dimension]:
    columns = [Dimension(f"{name}_id", "int", key, filterable=True)]
    return [*columns, *(Dimension(f"{name}_{field}", "string", key, lookup=(name, field)) for field in fields)]


_ANALYTICS: tuple[Dimension | Metric, ...] = (
    Dimension("hour", "date", "hour", show_hour),
    Dimension("day", "date", "day", _show_day),
    Dimension("month", "date", "month", _show_month),
    Dimension("entity_member_id", "int", "member_id", filterable=True),
    *_object("seller_member", "member_id", "name"),
    *_object("buyer_member", "member_id", "name"),
    *_object("advertiser", "advertiser_id", "name", "code"),
    *_object("line_item", "line_item_id", "name", "code"),
    *_object("insertion_order", "insertion_order_id", "name", "code"),
    *_object("publisher", "publisher_id", "name", "code"),
    *_object("site", "site_id", "name"),
    *_object("placement", "tag_id", "name", "code"),
    *_object("pub_rule", "payment_rule_id", "name", "code"),
    Dimension("imp_type_id", "int", "kind", lambda kind: IMP_TYPES[kind][0], filterable=True),
    Dimension("imp_type", "string", "kind", lambda kind: IMP_TYPES[kind][1]),
    Dimension("creative_id", "int", "kind", _show_creative),
    Dimension("creative_name", "string", "kind", _show_creative),
    Dimension("creative_code", "string", "kind", _show_creative),
    Metric("imps", "int", lambda sums: sums.imps),
    Metric("clicks", "int", lambda sums: sums.clicks),
    Metric("external_impression", "int", lambda sums: sums.imps),
    Metric("external_click", "int", lambda sums: sums.clicks),
    Metric("cost", "money", lambda sums: sums.cost),
    Metric("booked_revenue", "money", lambda sums: sums.revenue),
    Metric("revenue", "money", lambda sums: sums.revenue),
    Metric("profit", "money", lambda sums: sums.revenue - sums.cost),
    Metric("ctr", "double", lambda sums: Fraction(sums.clicks, sums.imps) if sums.imps else 0),
    Metric("cpm", "money", lambda sums: _per_thousand_imps(sums.cost, sums.imps)),
    Metric("rpm", "money", lambda sums: _per_thousand_imps(sums.revenue, sums.imps)),
)

ANALYTICS: Mapping[str, Mapping[str, Dimension | Metric]] = {
    "network_analytics": {column.name: column for column in _ANALYTICS},
}
"""Report type -> column name -> column."""


@dataclass(frozen=True, slots=True)
class FeedColumn:
    """A column of a feed: the stored field and how it is shown; `zoned` shows get wall seconds."""

    name: str
    type: ColumnType
    field: str
    show: Callable[[Any], int | str] = lambda value: value
    zoned: bool = False


def _micros(value: int | None) -> str:
    return format_nanos((value or 0) * 1000)


def _wall(pattern: str) -> Callable[[int], str]:
    return lambda local: datetime.fromtimestamp(local, UTC).strftime(pattern)


_CLICKTRACKERS = (
    FeedColumn("hour", "date", "ts", _wall("%Y-%m-%d %H:00"), zoned=True),
    FeedColumn("day", "date", "ts", _wall("%Y-%m-%d"), zoned=True),
    FeedColumn("month", "date", "ts", _wall("%Y-%m"), zoned=True),
    FeedColumn("datetime", "date", "ts", _wall("%Y-%m-%d %H:%M:%S"), zoned=True),
    FeedColumn("advertiser_id", "int", "advertiser_id"),
    FeedColumn("auction_id", "int", "event_id"),
    FeedColumn("line_item_id", "int", "line_item_id"),
    FeedColumn("insertion_order_id", "int", "insertion_order_id"),
    FeedColumn("member_id", "int", "member_id"),
    FeedColumn("pricing_type", "string", "pricing_type"),
    FeedColumn("publisher_id", "int", "publisher_id"),
    FeedColumn("site_domain", "string", "site_domain"),
    FeedColumn("tag_id", "int", "tag_id"),
    FeedColumn("tracker_id", "int", "tracker_id"),
    FeedColumn("user_id", "int", "user_id"),
    FeedColumn("commission_cpm", "money", "commission_cpm", _micros),
    FeedColumn("commission_revshare", "money", "commission_revshare", _micros),
    FeedColumn("media_buy_cost", "money", "ancost", _micros),
    FeedColumn(
        "media_buy_rev_share_pct", "double", "revshare", lambda ppm: show_number(Fraction(ppm, 10**6), "double")
    ),
    FeedColumn("revenue_value", "money", "revenue_value", _micros),
)

FEEDS: Mapping[str, Mapping[str, FeedColumn]] = {
    "clicktrackers": {column.name: column for column in _CLICKTRACKERS},
}
