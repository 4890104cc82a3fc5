"""Every column of every report type, one row each: how it is grouped, computed and formatted.

A dimension names a group key, whose SQL is in `rollup_groups.py`, and either how to format its values or which field of
which object to look up. A metric is computed from the sums of its group. Money is in nanos.
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


class GroupSums(NamedTuple):
    """Sums over the events of one group; money in nanos."""

    imps: int
    clicks: int
    cost: int
    revenue: int


@dataclass(frozen=True, slots=True)
class Dimension:
    """A column to group by; `lookup` is the (object, field) of a text in the configuration store."""

    name: str
    type: ColumnType
    key: str
    format: Callable[[Any], int | str] = lambda value: value
    lookup: tuple[str, str] | None = None
    filterable: bool = False


@dataclass(frozen=True, slots=True)
class Metric:
    """A column computed from the sums of a group."""

    name: str
    type: ColumnType
    value: Callable[[GroupSums], Number]

    @property
    def scale(self) -> int:
        """Return how much one unit of the column, as shown, is in `value`."""
        return NANOS if self.type == "money" else 1


def format_number(value: Number, column_type: ColumnType) -> str:
    """Return the text of a metric, with at most six decimal places."""
    if column_type == "money":
        text = format_nanos(round(value))
        return "0.00" if text == "-0.00" else text
    if column_type == "double":
        return f"{round(value * 1_000_000) / 1_000_000:.6f}".rstrip("0").rstrip(".")
    return str(value)


def _format_hour(local_seconds: int) -> str:
    return datetime.fromtimestamp(local_seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _format_day(local_days: int) -> str:
    return datetime.fromtimestamp(local_days * 86_400, UTC).strftime("%Y-%m-%d")


def _format_month(number: int) -> str:
    return f"{number // 100:04d}-{number % 100:02d}"


IMP_TYPES: Mapping[str, tuple[int, str, str]] = {
    "imp": (9, "External Impression", "External Imps"),
    "clk": (10, "External Click", "External Clicks"),
}
"""Kind of event -> imp_type_id, imp_type, and the text of the creative columns."""


def _format_creative(kind: str) -> str:
    return IMP_TYPES[kind][2]


def _per_thousand_imps(amount: int, imps: int) -> Number:
    return Fraction(amount * 1000, imps) if imps else 0


def _object_columns(name: str, key: str, *fields: str) -> list[Dimension]:
    """Return the column of an object's id and those of its looked-up fields."""
    columns = [Dimension(f"{name}_id", "int", key, filterable=True)]
    return [*columns, *(Dimension(f"{name}_{field}", "string", key, lookup=(name, field)) for field in fields)]


_ANALYTICS: tuple[Dimension | Metric, ...] = (
    Dimension("hour", "date", "hour", _format_hour),
    Dimension("day", "date", "day", _format_day),
    Dimension("month", "date", "month", _format_month),
    Dimension("entity_member_id", "int", "member_id", filterable=True),
    *_object_columns("seller_member", "member_id", "name"),
    *_object_columns("buyer_member", "member_id", "name"),
    *_object_columns("advertiser", "advertiser_id", "name", "code"),
    *_object_columns("line_item", "line_item_id", "name", "code"),
    *_object_columns("insertion_order", "insertion_order_id", "name", "code"),
    *_object_columns("publisher", "publisher_id", "name", "code"),
    *_object_columns("site", "site_id", "name"),
    *_object_columns("placement", "tag_id", "name", "code"),
    *_object_columns("pub_rule", "payment_rule_id", "name", "code"),
    Dimension("imp_type_id", "int", "kind", lambda kind: IMP_TYPES[kind][0], filterable=True),
    Dimension("imp_type", "string", "kind", lambda kind: IMP_TYPES[kind][1]),
    Dimension("creative_id", "int", "kind", _format_creative),
    Dimension("creative_name", "string", "kind", _format_creative),
    Dimension("creative_code", "string", "kind", _format_creative),
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
    """A column of a feed: a stored field and its format; with `zoned`, `format` gets wall seconds instead of a `ts`."""

    name: str
    type: ColumnType
    field: str
    format: Callable[[Any], int | str] = lambda value: value
    zoned: bool = False


def _format_micros(value: int | None) -> str:
    return format_nanos((value or 0) * 1000)


def _local_time_format(pattern: str) -> Callable[[int], str]:
    return lambda local_seconds: datetime.fromtimestamp(local_seconds, UTC).strftime(pattern)


_CLICKTRACKERS = (
    FeedColumn("hour", "date", "ts", _local_time_format("%Y-%m-%d %H:00"), zoned=True),
    FeedColumn("day", "date", "ts", _local_time_format("%Y-%m-%d"), zoned=True),
    FeedColumn("month", "date", "ts", _local_time_format("%Y-%m"), zoned=True),
    FeedColumn("datetime", "date", "ts", _local_time_format("%Y-%m-%d %H:%M:%S"), zoned=True),
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
    FeedColumn("commission_cpm", "money", "commission_cpm", _format_micros),
    FeedColumn("commission_revshare", "money", "commission_revshare", _format_micros),
    FeedColumn("media_buy_cost", "money", "ancost", _format_micros),
    FeedColumn(
        "media_buy_rev_share_pct", "double", "revshare", lambda ppm: format_number(Fraction(ppm, 10**6), "double")
    ),
    FeedColumn("revenue_value", "money", "revenue_value", _format_micros),
)

FEEDS: Mapping[str, Mapping[str, FeedColumn]] = {
    "clicktrackers": {column.name: column for column in _CLICKTRACKERS},
}
"""Report type -> column name -> column."""

REPORT_TYPES = (*ANALYTICS, *FEEDS)
