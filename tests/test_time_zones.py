"""Every zone of tzdata is judged by its offsets, and alike wherever a zone may be named."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from onebyone import time_zones
from tests.support.time_zones import allowed_time_zones, offsets_in_tzdata

LAST = datetime.now(UTC) + timedelta(days=365 * time_zones.YEARS_AHEAD)
PAIRS = (
    ("Asia/Kolkata", "Asia/Calcutta"),
    ("Asia/Kathmandu", "Asia/Katmandu"),
    ("America/St_Johns", "Canada/Newfoundland"),
    ("Asia/Tehran", "Iran"),
    ("Australia/Adelaide", "Australia/South"),
    ("Australia/Lord_Howe", "Australia/LHI"),
    ("Pacific/Chatham", "NZ-CHAT"),
    ("America/New_York", "US/Eastern"),
    ("Europe/Berlin", "Arctic/Longyearbyen"),
)


@pytest.mark.parametrize("bucket", [3600, 1800, 900])
def test_all_zones_are_judged_by_the_offsets_of_tzdata(bucket: int) -> None:
    differing = []
    for name in sorted(time_zones.time_zone_names()):
        offsets = offsets_in_tzdata(name, time_zones.FIRST_EVENT, LAST)
        if _is_refused(name, bucket) != any(offset % bucket for offset in offsets):
            differing.append((name, sorted(offsets)))
    assert not differing


@pytest.mark.parametrize(("zone", "alias"), PAIRS)
def test_aliases_are_judged_like_their_targets(zone: str, alias: str) -> None:
    assert _is_refused(zone) == _is_refused(alias)


def test_every_zone_fits_quarter_hours() -> None:
    assert not [name for name in time_zones.time_zone_names() if _is_refused(name, 900)]


@pytest.mark.parametrize("name", ["America/Caracas", "Asia/Pyongyang", "EST5EDT", "UTC", "Africa/Casablanca"])
def test_zones_with_whole_hours_today_are_allowed(name: str) -> None:
    assert time_zones.require_time_zone(name) == name


@pytest.mark.parametrize("name", ["localtime", "Factory", "posixrules", "../etc/passwd", "asia/tokyo", "", None, 5, []])
def test_what_is_no_zone(name: object) -> None:
    with pytest.raises(ValueError, match=r"^not a known time zone$"):
        time_zones.require_time_zone(name)


@pytest.mark.parametrize(("bucket", "text"), [(3600, "a whole number of hours"), (1800, "a multiple of 30 minutes")])
def test_refusals_say_why(bucket: int, text: str) -> None:
    with pytest.raises(ValueError, match=f"is not {text} away from UTC at all times"):
        time_zones.require_time_zone("Asia/Kathmandu", bucket)


def test_clocks_of_allowed_zones_change_at_full_hours() -> None:
    """Days have whole buckets only if clocks change between two of them."""
    odd = [(name, moment) for name in allowed_time_zones() for moment in _clock_changes(name) if moment % 3600]
    assert not odd


def _clock_changes(name: str) -> list[int]:
    """Return the epoch seconds of the clock changes in two years."""
    zone = ZoneInfo(name)
    start = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp())
    steps = range(start, start + 730 * 86_400, 7 * 86_400)
    changes = []
    for low, high in pairwise(steps):
        before = _offset(zone, low)
        if _offset(zone, high) == before:
            continue
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if _offset(zone, middle) == before else (low, middle)
        changes.append(high)
    return changes


def _offset(zone: ZoneInfo, moment: int) -> timedelta | None:
    return datetime.fromtimestamp(moment, zone).utcoffset()


def _is_refused(name: str, bucket: int = time_zones.BUCKET_SECONDS) -> bool:
    try:
        time_zones.require_time_zone(name, bucket)
    except ValueError:
        return True
    return False
