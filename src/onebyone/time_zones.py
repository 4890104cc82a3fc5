"""The time zones that objects, users and reports may have: those in which every day consists of whole buckets.

Sums are kept by buckets of UTC, so a day is exact only in a zone whose offset from UTC is a multiple of a bucket. The
offsets of the installed tzdata decide, so an alias is judged like the zone that it stands for.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

BUCKET_SECONDS = 3600
"""Width of the buckets of `report_store.tables.hourly`, whose rows are hours."""
FIRST_EVENT = datetime(2025, 1, 1, tzinfo=UTC)
"""No event is older, because the product is not: the offsets before decide nothing."""
YEARS_AHEAD = 10
"""A zone stays right for as long as its objects live; the clock changes that tzdata knows recur within a year."""
_STEP = timedelta(days=7)
"""Between two looks at an offset; the shortest period of one offset, Ramadan in Morocco, lasts five weeks."""
_MACHINE_ZONES = {"localtime", "Factory"}
"""Files of tzdata that are no zone: one is what the machine is set to, the other what a machine without a zone has."""


@cache
def time_zone_names() -> frozenset[str]:
    """Return the names of all known time zones, aliases included."""
    return frozenset(available_timezones() - _MACHINE_ZONES)


def require_time_zone(name: object, bucket_seconds: int = BUCKET_SECONDS) -> str:
    """Return `name` if it is a time zone in which every day has whole buckets. Raise `ValueError` with the reason."""
    if not isinstance(name, str) or name not in time_zone_names():
        raise ValueError("not a known time zone")
    if not _has_whole_buckets(name, bucket_seconds):
        parts = "a whole number of hours" if bucket_seconds == 3600 else f"a multiple of {bucket_seconds // 60} minutes"
        raise ValueError(f"the time zone is not {parts} away from UTC at all times")
    return name


@cache
def _has_whole_buckets(name: str, bucket_seconds: int) -> bool:
    """Return whether each offset of a known zone, from the first event to `YEARS_AHEAD` from now, is whole buckets."""
    zone, bucket = ZoneInfo(name), timedelta(seconds=bucket_seconds)
    moment, end = FIRST_EVENT, datetime.now(UTC) + timedelta(days=366 * YEARS_AHEAD)
    while moment < end:
        if (moment.astimezone(zone).utcoffset() or timedelta()) % bucket:
            return False
        moment += _STEP
    return True
