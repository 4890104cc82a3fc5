"""What a caller asks for with POST /report: everything is checked at once, each fault with its field."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, cast
from zoneinfo import ZoneInfo

import orjson

from onebyone.errors import Fault, Refused, raise_faults
from onebyone.reports import time_ranges
from onebyone.reports.columns import ANALYTICS, FEEDS, Dimension, Metric
from onebyone.reports.time_ranges import Window

EASTERN = "EST5EDT"
FILTER_VALUES = 1000
LIST_LENGTH = 100
FEED_HOURS = 24
FEED_DAYS = 30
OPERATORS = (">", ">=", "<", "<=", "=", "!=")
FORMATS = ("csv", "excel")
NAME_LENGTH = 255

_FEED_REFUSES = ("filters", "group_filters", "orders")
_ECHOED = (
    "name",
    "report_type",
    "columns",
    "report_interval",
    "start_date",
    "end_date",
    "timezone",
    *_FEED_REFUSES,
    "format",
    "offset",
    "num_elements",
    "reporting_decimal_type",
    "escape_fields",
)


@dataclass(frozen=True, slots=True)
class Condition:
    """`column operator value` over a metric."""

    column: str
    operator: str
    value: Decimal


@dataclass(frozen=True, slots=True)
class Demand:
    """A checked request for one report."""

    report_type: str
    columns: tuple[str, ...]
    window: Window
    filters: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    conditions: tuple[Condition, ...] = ()
    orders: tuple[tuple[str, bool], ...] = ()
    """(column, descending)."""
    excel: bool = False
    decimal_comma: bool = False
    quote_all: bool = False
    offset: int = 0
    limit: int | None = None
    echo: Mapping[str, Any] = field(default_factory=dict)
    """The fields of the request that were understood, as they came."""


def parse(body: Any, query: Mapping[str, str], now_ms: int) -> Demand:
    """The demand in a request's body. Raises `DomainError` with every fault."""
    if not isinstance(body, dict) or not isinstance(body.get("report"), dict):
        raise Refused(Fault("report", "the body must be an object with this key and an object in it"))
    given = body["report"]
    if "report_interval" in body and not given.keys() & {"report_interval", "start_date", "end_date"}:
        # nexusadspy puts the interval beside the report.
        given = {**given, "report_interval": body["report_interval"]}
    return _Parser(given, query, now_ms).demand()


class _Parser:
    def __init__(self, given: dict[str, Any], query: Mapping[str, str], now_ms: int) -> None:
        self._given = {name: value for name, value in given.items() if value is not None}
        self._query = query
        self._now_ms = now_ms
        self._faults: list[Fault] = []

    def demand(self) -> Demand:
        report_type = self._choice("report_type", (*ANALYTICS, *FEEDS), None)
        feed = report_type in FEEDS
        known: Mapping[str, Any] = ANALYTICS.get(report_type) or FEEDS.get(report_type) or {}
        columns = self._columns(known) if known else ()
        if feed:
            for name in _FEED_REFUSES:
                if self._given.get(name):
                    self._fault(name, f"not allowed for {report_type}")
        demand = {
            "filters": {} if feed else self._filters(known),
            "conditions": () if feed else self._conditions(known),
            "orders": () if feed else self._orders(columns),
            "excel": self._choice("format", FORMATS, "csv") == "excel",
            "decimal_comma": self._choice("reporting_decimal_type", ("decimal", "comma"), "decimal") == "comma",
            "quote_all": self._boolean("escape_fields"),
            "offset": self._count("offset", 0, 0) or 0,
            "limit": self._count("num_elements", 1, None),
        }
        name = self._given.get("name", "")
        if not isinstance(name, str) or len(name) > NAME_LENGTH or not name.isprintable():
            self._fault("name", f"must be a text of at most {NAME_LENGTH} printable characters")
        found = self._window(feed)
        echo = {name: self._given[name] for name in _ECHOED if name in self._given}
        try:
            if b"\\u0000" in orjson.dumps(echo):
                self._fault("report", "holds a NUL")
        except TypeError:
            self._fault("report", "is nested too deeply")
        raise_faults(self._faults)
        return Demand(report_type, columns, cast("Window", found), echo=echo, **cast("dict[str, Any]", demand))

    def _fault(self, path: str, text: str) -> None:
        self._faults.append(Fault(path, text))

    def _choice(self, name: str, allowed: tuple[str, ...], default: str | None) -> str:
        value = self._given.get(name, default)
        if value is None:
            self._fault(name, "required")
        elif value not in allowed:
            self._fault(name, f"must be one of {', '.join(allowed)}")
        else:
            return str(value)
        return ""

    def _boolean(self, name: str) -> bool:
        value = self._given.get(name, False)
        if value not in (True, False, "true", "false", 0, 1):
            self._fault(name, "must be true or false")
        return value in (True, "true")

    def _count(self, name: str, least: int, default: int | None) -> int | None:
        if name not in self._given:
            return default
        value = _integer(self._given[name])
        if value is None or value < least:
            self._fault(name, f"must be an integer of at least {least}")
        return value

    def _list(self, name: str) -> list[Any]:
        value = self._given.get(name, [])
        if isinstance(value, list) and len(value) <= LIST_LENGTH:
            return value
        self._fault(name, f"must be a list of at most {LIST_LENGTH}")
        return []

    def _columns(self, known: Mapping[str, Any]) -> tuple[str, ...]:
        columns = self._list("columns")
        if not columns:
            self._fault("columns", "at least one is required")
        for index, column in enumerate(columns):
            if not isinstance(column, str) or column not in known:
                self._fault(f"columns[{index}]", "not a column of this report type")
            elif columns.index(column) != index:
                self._fault(f"columns[{index}]", f"{column} is repeated")
        return tuple(column for column in columns if isinstance(column, str))

    def _filters(self, known: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
        found: dict[str, tuple[int, ...]] = {}
        pairs = self._pairs("filters")
        for name in ("advertiser_id", "publisher_id"):
            if name in self._query:
                pairs.append((name, name, self._query[name]))
        for path, column, value in pairs:
            target = known.get(column)
            if not isinstance(target, Dimension) or not target.filterable:
                self._fault(path, "not a filter of this report type")
            elif column in found:
                self._fault(path, "given twice; use one list")
            else:
                values = [_integer(part) for part in (value if isinstance(value, list) else [value])]
                if not values or len(values) > FILTER_VALUES or None in values:
                    self._fault(path, f"must be an integer or a list of 1 to {FILTER_VALUES} integers")
                found[column] = tuple(part for part in values if part is not None)
        return found

    def _conditions(self, known: Mapping[str, Any]) -> tuple[Condition, ...]:
        found = []
        for path, column, value in self._pairs("group_filters"):
            if not isinstance(known.get(column), Metric):
                self._fault(path, "not a metric of this report type")
                continue
            told = value if isinstance(value, dict) else {}
            amount = _decimal(told.get("value"))
            operator = told.get("operator")
            if amount is None:
                self._fault(f"{path}.value", "must be a number")
            if operator not in OPERATORS:
                self._fault(f"{path}.operator", f"must be one of {' '.join(OPERATORS)}")
            if amount is not None and operator in OPERATORS:
                found.append(Condition(column, operator, amount))
        return tuple(found)

    def _pairs(self, name: str) -> list[tuple[str, str, Any]]:
        """(path, key, value) of each entry in a list of objects."""
        found = []
        for index, entry in enumerate(self._list(name)):
            if not isinstance(entry, dict):
                self._fault(f"{name}[{index}]", "must be an object")
                continue
            found += [(f"{name}[{index}].{key[:40]}", key, value) for key, value in entry.items()]
        return found

    def _orders(self, columns: tuple[str, ...]) -> tuple[tuple[str, bool], ...]:
        found: list[tuple[str, bool]] = []
        for index, order in enumerate(self._list("orders")):
            told = order if isinstance(order, dict) else {"order_by": order}
            column, direction = told.get("order_by"), told.get("direction", "ASC")
            if column not in columns:
                self._fault(f"orders[{index}]", "must name a column of this report")
            elif str(direction).upper() not in ("ASC", "DESC"):
                self._fault(f"orders[{index}].direction", "must be ASC or DESC")
            elif column in dict(found):
                self._fault(f"orders[{index}]", f"{column} is repeated")
            else:
                found.append((column, str(direction).upper() == "DESC"))
        return tuple(found)

    def _window(self, feed: bool) -> Window | None:
        zone_name = self._given.get("timezone", "UTC" if feed else EASTERN)
        if not isinstance(zone_name, str) or zone_name not in time_ranges.zones():
            self._fault("timezone", "not a known time zone")
            return None
        zone = ZoneInfo(zone_name)
        interval = self._given.get("report_interval")
        dates = [name for name in ("start_date", "end_date") if name in self._given]
        if interval is not None and (dates or feed):
            self._fault("report_interval", "not allowed here" if feed else "give this, or start_date and end_date")
            return None
        if interval is not None or not (dates or feed):
            if interval not in time_ranges.INTERVALS:
                self._fault("report_interval", f"must be one of {', '.join(time_ranges.INTERVALS)}")
                return None
            try:
                return time_ranges.named(interval, self._now_ms, zone)
            except ValueError as error:
                self._fault("timezone", str(error))
                return None
        return self._between(zone, feed)

    def _between(self, zone: ZoneInfo, feed: bool) -> Window | None:
        times = []
        for name in ("start_date", "end_date"):
            try:
                times.append(time_ranges.parse_time(self._given.get(name)))
            except ValueError as error:
                self._fault(name, str(error) if name in self._given else "required")
        if len(times) < 2:
            return None
        try:
            found = time_ranges.between(times[0], times[1], zone)
        except ValueError as error:
            self._fault("timezone" if "zone" in str(error) else "end_date", str(error))
            return None
        if feed and times[1] - times[0] > timedelta(hours=FEED_HOURS):
            self._fault("end_date", f"must be at most {FEED_HOURS} hours after start_date")
        if feed and found.start < self._now_ms // 1000 - FEED_DAYS * time_ranges.DAY:
            self._fault("start_date", f"must be within the last {FEED_DAYS} days")
        return found


def _integer(value: Any) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= 19:
        value = int(value)
    return value if type(value) is int and 0 <= value < 2**63 else None


def _decimal(value: Any) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str) or len(str(value)) > 40:
        return None
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return None
    return number if number.is_finite() and abs(number.adjusted()) < 40 else None
