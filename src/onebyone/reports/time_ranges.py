"""The time range of a report: named intervals and wall times in a time zone.

Ranges exclude their end. The rollup has hours of UTC, so a range begins and ends at one; the zones are those that
`time_zones` allows, which have exact days.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

from onebyone.reports.date_texts import parse_date

HOUR = 3600
DAY = 86_400
"""Seconds."""
YEARS = range(2000, 2101)
"""Years of accepted dates: older than any event, and near enough that a range has a bounded number of hours."""
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


@dataclass(frozen=True, slots=True)
class TimeRange:
    """Epoch seconds [`start`, `end`), and the zone in which a report names them."""

    start: int
    end: int
    zone: ZoneInfo

    def utc_offset(self, moment: int) -> int:
        """Return how many seconds the zone is ahead of UTC at epoch second `moment`."""
        offset = datetime.fromtimestamp(moment, self.zone).utcoffset()
        return int(offset.total_seconds()) if offset is not None else 0

    def format_local(self, moment: int) -> str:
        """Return epoch second `moment` as `YYYY-MM-DD HH:MM:SS` in the zone."""
        return datetime.fromtimestamp(moment, self.zone).strftime("%Y-%m-%d %H:%M:%S")


def parse_wall_time(text: object, zone: tzinfo = UTC) -> datetime:
    """Parse a date with or without a full hour; one that names a time zone of its own is converted to `zone`.

    The result is naive unless the text names a zone. Raise `ValueError` with the reason.
    """
    malformed = "must be YYYY-MM-DD or YYYY-MM-DD HH:00:00"
    if not isinstance(text, str):
        raise ValueError(malformed)
    try:
        wall_time = parse_date(text)
        if wall_time.tzinfo is not None:
            wall_time = wall_time.astimezone(zone)
    except (ValueError, OverflowError):
        raise ValueError(malformed) from None
    if wall_time.minute or wall_time.second:
        raise ValueError("must be a full hour")
    if wall_time.year not in YEARS:
        raise ValueError(f"must be in the years {YEARS.start} to {YEARS.stop - 1}")
    return wall_time


def range_between(start: datetime, end: datetime, zone: ZoneInfo) -> TimeRange:
    """Return the range between two wall times. Raise `ValueError` when it is empty."""
    time_range = TimeRange(_epoch_seconds(start, zone), _epoch_seconds(end, zone), zone)
    if time_range.start >= time_range.end:
        raise ValueError("must be after start_date; the end is exclusive")
    return time_range


def range_of_interval(interval: str, now_ms: int, zone: ZoneInfo) -> TimeRange:
    """Return the range of one of `INTERVALS`; `last_N_days` includes today."""
    now = datetime.fromtimestamp(now_ms // 1000, zone)
    hour = now_ms // 1000 // HOUR * HOUR
    if interval == "current_hour":
        return TimeRange(hour, hour + HOUR, zone)
    if interval == "last_hour":
        return TimeRange(hour - HOUR, hour, zone)
    if interval == "last_48_hours":
        return TimeRange(hour - 47 * HOUR, hour + HOUR, zone)
    today = datetime(now.year, now.month, now.day)
    tomorrow = today + timedelta(days=1)
    month = today.replace(day=1)
    if interval in _DAYS:
        return range_between(tomorrow - timedelta(days=_DAYS[interval]), tomorrow, zone)
    match interval:
        case "yesterday":
            return range_between(today - timedelta(days=1), today, zone)
        case "month_to_yesterday":
            # Empty on the first day of a month, and no error then.
            return TimeRange(_epoch_seconds(month, zone), _epoch_seconds(today, zone), zone)
        case "month_to_date" | "mtd":
            return range_between(month, tomorrow, zone)
        case "quarter_to_date":
            return range_between(month.replace(month=(month.month - 1) // 3 * 3 + 1), tomorrow, zone)
        case "last_month":
            return range_between((month - timedelta(days=1)).replace(day=1), month, zone)
        case _:
            return range_between(datetime(YEARS.start, 1, 1), tomorrow, zone)


def _epoch_seconds(wall_time: datetime, zone: ZoneInfo) -> int:
    moment = int((wall_time if wall_time.tzinfo else wall_time.replace(tzinfo=zone)).timestamp())
    # Before the first event the zone may have been half an hour off; no row lies there, so nothing is cut.
    return moment - moment % HOUR
