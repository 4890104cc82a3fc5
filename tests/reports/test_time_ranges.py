"""Named intervals and wall times in the time zone of a report."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from onebyone.reports import time_ranges
from tests.reports.report_harness import epoch_ms

NOW = "2026-11-01 03:20:10"
"""In New York still 23:20 on October 31, hours before the clocks go back."""
INTERVALS = {
    "current_hour": ("2026-10-31 23:00:00", "2026-11-01 00:00:00"),
    "last_hour": ("2026-10-31 22:00:00", "2026-10-31 23:00:00"),
    "today": ("2026-10-31 00:00:00", "2026-11-01 00:00:00"),
    "yesterday": ("2026-10-30 00:00:00", "2026-10-31 00:00:00"),
    "last_48_hours": ("2026-10-30 00:00:00", "2026-11-01 00:00:00"),
    "last_2_days": ("2026-10-30 00:00:00", "2026-11-01 00:00:00"),
    "last_7_days": ("2026-10-25 00:00:00", "2026-11-01 00:00:00"),
    "last_14_days": ("2026-10-18 00:00:00", "2026-11-01 00:00:00"),
    "last_30_days": ("2026-10-02 00:00:00", "2026-11-01 00:00:00"),
    "30_days": ("2026-10-02 00:00:00", "2026-11-01 00:00:00"),
    "month_to_yesterday": ("2026-10-01 00:00:00", "2026-10-31 00:00:00"),
    "month_to_date": ("2026-10-01 00:00:00", "2026-11-01 00:00:00"),
    "mtd": ("2026-10-01 00:00:00", "2026-11-01 00:00:00"),
    "quarter_to_date": ("2026-10-01 00:00:00", "2026-11-01 00:00:00"),
    "last_month": ("2026-09-01 00:00:00", "2026-10-01 00:00:00"),
    "lifetime": ("2000-01-01 00:00:00", "2026-11-01 00:00:00"),
}


def test_all_intervals_are_tested() -> None:
    assert set(INTERVALS) == set(time_ranges.INTERVALS)


@pytest.mark.parametrize("interval", INTERVALS)
def test_intervals(interval: str) -> None:
    result = time_ranges.range_of_interval(interval, epoch_ms(NOW), ZoneInfo("America/New_York"))
    assert (result.format_local(result.start), result.format_local(result.end)) == INTERVALS[interval]


def test_month_to_yesterday_is_empty_on_the_first() -> None:
    result = time_ranges.range_of_interval("month_to_yesterday", epoch_ms("2026-11-01 12:00:00"), ZoneInfo("UTC"))
    assert result.start == result.end


@pytest.mark.parametrize(
    ("start", "end", "hours"),
    [("2026-11-01", "2026-11-02", 25), ("2026-03-08", "2026-03-09", 23), ("2026-03-09", "2026-03-10", 24)],
)
def test_day_length_across_clock_changes(start: str, end: str, hours: int) -> None:
    zone = ZoneInfo("America/New_York")
    result = time_ranges.range_between(time_ranges.parse_wall_time(start), time_ranges.parse_wall_time(end), zone)
    assert result.end - result.start == hours * time_ranges.HOUR


@pytest.mark.parametrize(
    "text",
    ["2026-01-01", "2026-01-01 05:00", "2026-01-01 05:00:00", "2026-1-1", "2026-13-01", "", None, 5, "２026-01-01"],
)
def test_wall_times(text: object) -> None:
    try:
        result = time_ranges.parse_wall_time(text)
    except ValueError:
        assert text not in ("2026-01-01", "2026-01-01 05:00", "2026-01-01 05:00:00")
    else:
        assert result.replace(tzinfo=UTC) >= datetime(2026, 1, 1, tzinfo=UTC)


def test_ranges_from_before_the_first_event_begin_at_an_hour() -> None:
    """Caracas was at UTC-04:30 from 2007 to 2016."""
    zone = ZoneInfo("America/Caracas")
    result = time_ranges.range_between(datetime(2010, 1, 1), datetime(2026, 1, 1), zone)
    assert result.start % time_ranges.HOUR == 0
    assert result.format_local(result.end) == "2026-01-01 00:00:00"


@pytest.mark.parametrize(
    ("text", "zone", "local"),
    [
        ("2026-03-01T05:00:00", "America/New_York", "2026-03-01 05:00:00"),
        ("2026-03-01T05:00:00.000Z", "America/New_York", "2026-03-01 00:00:00"),
        ("2026-03-01T05:30:00+05:30", "UTC", "2026-03-01 00:00:00"),
        ("2026-11-01T06:00:00Z", "America/New_York", "2026-11-01 01:00:00"),
    ],
)
def test_wall_times_in_other_forms(text: str, zone: str, local: str) -> None:
    chosen = ZoneInfo(zone)
    start = time_ranges.parse_wall_time(text, chosen)
    result = time_ranges.range_between(start, datetime(2026, 12, 1), chosen)
    assert result.format_local(result.start) == local
    if start.tzinfo is not None:
        assert result.start == int(start.timestamp())


@pytest.mark.parametrize("text", ["2026-03-01T05:30:00Z", "2026-03-01T05:00:00+05:30"])
def test_wall_times_within_an_hour_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be a full hour"):
        time_ranges.parse_wall_time(text)
