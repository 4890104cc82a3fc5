"""The time range that a report request asks for: a named interval, or start and end."""

from __future__ import annotations

from datetime import timedelta
from zoneinfo import ZoneInfo

from onebyone import time_zones
from onebyone.reports import time_ranges
from onebyone.reports.request_fields import RequestFields
from onebyone.reports.time_ranges import TimeRange

EASTERN = "EST5EDT"
"""Time zone of an aggregated report that names none, as documented."""
FEED_HOURS = 24
FEED_DAYS = 30
"""The most hours that a feed may cover, and how many days back it may reach, as documented."""


def read_time_range(fields: RequestFields, now_ms: int, *, feed: bool) -> TimeRange | None:
    """Return the requested time range; None after a fault."""
    zone_name = fields.get("timezone", "UTC" if feed else EASTERN)
    try:
        zone = ZoneInfo(time_zones.require_time_zone(zone_name))
    except ValueError as error:
        fields.add_fault("timezone", str(error))
        return None
    interval = fields.get("report_interval")
    dated = "start_date" in fields or "end_date" in fields
    if interval is not None and (dated or feed):
        fields.add_fault("report_interval", "not allowed here" if feed else "give this, or start_date and end_date")
        return None
    if dated or feed:
        return _read_dates(fields, zone, now_ms, feed=feed)
    if interval not in time_ranges.INTERVALS:
        fields.add_fault("report_interval", f"must be one of {', '.join(time_ranges.INTERVALS)}")
        return None
    return time_ranges.range_of_interval(interval, now_ms, zone)


def _read_dates(fields: RequestFields, zone: ZoneInfo, now_ms: int, *, feed: bool) -> TimeRange | None:
    wall_times = []
    for name in ("start_date", "end_date"):
        try:
            wall_times.append(time_ranges.parse_wall_time(fields.get(name), zone))
        except ValueError as error:
            fields.add_fault(name, str(error) if name in fields else "required")
    if len(wall_times) < 2:
        return None
    start, end = wall_times
    try:
        time_range = time_ranges.range_between(start, end, zone)
    except ValueError as error:
        fields.add_fault("end_date", str(error))
        return None
    if feed and end.replace(tzinfo=None) - start.replace(tzinfo=None) > timedelta(hours=FEED_HOURS):
        fields.add_fault("end_date", f"must be at most {FEED_HOURS} hours after start_date")
    if feed and time_range.start < now_ms // 1000 - FEED_DAYS * time_ranges.DAY:
        fields.add_fault("start_date", f"must be within the last {FEED_DAYS} days")
    return time_range
