"""The time of a report: named intervals, exclusive ends, and what an hour is called in the report's time zone.

The rollup has hours of UTC, so only zones that are whole hours away from it have exact days; others are refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from sqlalchemy import BigInteger, ColumnElement, case, literal_column

HOUR = 3600
DAY = 86_400
YEARS = range(2000, 2101)
LIFETIME = "lifetime"
INTERVALS = (
    "current_hour",
    "last_hour",
    "today",
    "yesterday",
    "last_48_hours",
    "last_2_days",
    "last_7_days",
    "last_14_days",
    "last_30_days",
    "30_days",
    "month_to_yesterday",
    "month_to_date",
    "mtd",
    "quarter_to_date",
    "last_month",
    LIFETIME,
)
_DAYS = {"today": 1, "last_2_days": 2, "last_7_days": 7, "last_14_days": 14, "last_30_days": 30, "30_days": 30}
_FORMATS = {10: "%Y-%m-%d", 16: "%Y-%m-%d %H:%M", 19: "%Y-%m-%d %H:%M:%S"}


@dataclass(frozen=True, slots=True)
class Window:
    """Epoch seconds [`start`, `end`) and the zone that names them."""

    start: int
    end: int
    zone: ZoneInfo

    def offset(self, moment: int) -> int:
        """Seconds that the zone is ahead of UTC at a moment."""
        return _offset(moment, self.zone)

    def local(self, moment: int) -> str:
        """`YYYY-MM-DD HH:MM:SS` of epoch seconds in the window's zone."""
        return datetime.fromtimestamp(moment, self.zone).strftime("%Y-%m-%d %H:%M:%S")


@cache
def zones() -> frozenset[str]:
    """Names of all time zones."""
    return frozenset(available_timezones())


def parse_time(text: object) -> datetime:
    """Wall time of `YYYY-MM-DD`, `YYYY-MM-DD HH:00` or `YYYY-MM-DD HH:00:00`. Raises `ValueError` with the reason."""
    wrong = "must be YYYY-MM-DD or YYYY-MM-DD HH:00:00"
    if not isinstance(text, str) or len(text) not in _FORMATS or not text.isascii():
        raise ValueError(wrong)
    try:
        found = datetime.strptime(text, _FORMATS[len(text)])
    except ValueError:
        raise ValueError(wrong) from None
    if found.minute or found.second:
        raise ValueError("must be a full hour")
    if found.year not in YEARS:
        raise ValueError(f"must be in the years {YEARS.start} to {YEARS.stop - 1}")
    return found


def between(start: datetime, end: datetime, zone: ZoneInfo) -> Window:
    """The window between two wall times. Raises `ValueError` when it is empty or the zone has no whole hours."""
    window = Window(_epoch(start, zone), _epoch(end, zone), zone)
    if window.start >= window.end:
        raise ValueError("must be after start_date; the end is exclusive")
    return window


def named(interval: str, now_ms: int, zone: ZoneInfo) -> Window:
    """The window of a named interval. `last_N_days` ends with today, which counts as one of them."""
    now = datetime.fromtimestamp(now_ms // 1000, zone)
    hour = now_ms // 1000 // HOUR * HOUR
    _epoch(now.replace(minute=0, second=0, tzinfo=None), zone)
    if interval == "current_hour":
        return Window(hour, hour + HOUR, zone)
    if interval == "last_hour":
        return Window(hour - HOUR, hour, zone)
    if interval == "last_48_hours":
        return Window(hour - 47 * HOUR, hour + HOUR, zone)
    today = datetime(now.year, now.month, now.day)
    tomorrow = today + timedelta(days=1)
    month = today.replace(day=1)
    if interval in _DAYS:
        return between(tomorrow - timedelta(days=_DAYS[interval]), tomorrow, zone)
    match interval:
        case "yesterday":
            return between(today - timedelta(days=1), today, zone)
        case "month_to_yesterday":
            # On the first day of a month there is no yesterday in it: an empty window.
            return Window(_epoch(month, zone), _epoch(today, zone), zone)
        case "month_to_date" | "mtd":
            return between(month, tomorrow, zone)
        case "quarter_to_date":
            return between(month.replace(month=(month.month - 1) // 3 * 3 + 1), tomorrow, zone)
        case "last_month":
            return between((month - timedelta(days=1)).replace(day=1), month, zone)
        case _:
            return between(datetime(YEARS.start, 1, 1), tomorrow, zone)


def _epoch(wall: datetime, zone: ZoneInfo) -> int:
    moment = int(wall.replace(tzinfo=zone).timestamp())
    if moment % HOUR:
        raise ValueError("the time zone is not a whole number of hours away from UTC")
    return moment


def local_hours(hour: ColumnElement[int], window: Window) -> ColumnElement[int]:
    """Wall time of a UTC hour, as seconds since 1970-01-01 00:00 of the window's zone."""
    shifts = _shifts(window)
    steps = [(hour < until, hour + literal_column(str(offset), BigInteger)) for until, offset in shifts[:-1]]
    last = hour + literal_column(str(shifts[-1][1]), BigInteger)
    return case(*steps, else_=last) if steps else last


def local_months(hour: ColumnElement[int], window: Window) -> ColumnElement[int]:
    """Wall month of a UTC hour, as year * 100 + month."""
    first = datetime.fromtimestamp(window.start, window.zone)
    month = datetime(first.year, first.month, 1)
    steps = []
    number = month.year * 100 + month.month
    while True:
        month = (month + timedelta(days=31)).replace(day=1)
        until = int(month.replace(tzinfo=window.zone).timestamp())
        if until >= window.end:
            break
        steps.append((hour < until, literal_column(str(number), BigInteger)))
        number = month.year * 100 + month.month
    last = literal_column(str(number), BigInteger)
    return case(*steps, else_=last) if steps else last + literal_column("0", BigInteger)


def _shifts(window: Window) -> list[tuple[int, int]]:
    """(until, offset in seconds): where the offset changes within the window."""
    found = []
    offset = _offset(window.start, window.zone)
    for day in range(window.start, window.end, DAY):
        until = min(day + DAY, window.end)
        if _offset(until - 1, window.zone) == offset:
            continue
        for hour in range(day, until, HOUR):
            if _offset(hour, window.zone) != offset:
                found.append((hour, offset))
                offset = _offset(hour, window.zone)
    return [*found, (window.end, offset)]


def _offset(moment: int, zone: ZoneInfo) -> int:
    shift = datetime.fromtimestamp(moment, zone).utcoffset()
    return int(shift.total_seconds()) if shift is not None else 0
