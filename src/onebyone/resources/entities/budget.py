"""Budget intervals of insertion orders and line items: when an object runs and how much it may deliver."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Annotated, Any, ClassVar
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field

from onebyone.resources.entity import Values
from onebyone.resources.fields import (
    Amount,
    Body,
    Boolean,
    Integer,
    ObjectId,
    StrictCode,
    Timestamp,
    TimeZone,
    as_list,
    whole_or_fraction,
)
from onebyone.resources.unit_of_work import UnitOfWork

PACING = ("enable_pacing", "lifetime_pacing", "lifetime_pacing_pct")
REVENUE = ("lifetime_budget", "daily_budget")
IMPRESSIONS = ("lifetime_budget_imps", "daily_budget_imps")
BUDGETS = (*REVENUE, *IMPRESSIONS)
Count = Annotated[Integer, Field(ge=0)]
Pace = Annotated[float, Field(ge=50, le=150, allow_inf_nan=False), AfterValidator(whole_or_fraction)]
HOUR = timedelta(hours=1)


class BudgetInterval(Body):
    """One flight, in wall clock times of the object's time zone; a `timezone` sent here is ignored."""

    shown: ClassVar[tuple[str, ...]] = ("object_id", "object_type")
    deleted_by_null: ClassVar[tuple[str, ...]] = ("start_date", "end_date")
    id: ObjectId | None = None
    start_date: Timestamp
    end_date: Timestamp | None = None
    timezone: TimeZone | None = None
    code: StrictCode = None
    lifetime_budget: Amount | None = None
    lifetime_budget_imps: Count | None = None
    daily_budget_imps: Count | None = None
    daily_budget: Amount | None = None
    enable_pacing: Boolean | None = None
    lifetime_pacing: Boolean | None = None
    lifetime_pacing_pct: Pace | None = None


Intervals = Annotated[list[BudgetInterval], Field(max_length=52), BeforeValidator(as_list)]


def utc_of_wall_clock(text: str, zone: str) -> datetime:
    """Return the UTC time of a wall clock time `YYYY-MM-DD HH:MM:SS` in a zone, within the years 1 to 9999."""
    local = datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=ZoneInfo(zone))
    try:
        return local.astimezone(UTC)
    except OverflowError:
        # Dates of the first and of the last day of the calendar set no limit in effect.
        return (datetime.max if local.year > 1 else datetime.min).replace(tzinfo=UTC)


def remaining_days(line: Values, now_ms: int) -> Values:
    """Return `remaining_days` and `total_days` between the object's own dates.

    Both are null unless it has a start and an end; `remaining_days` is null before the start.
    """
    if line.get("start_date") is None or line.get("end_date") is None:
        return {"remaining_days": None, "total_days": None}
    start, end = (date.fromisoformat(line[name][:10]) for name in ("start_date", "end_date"))
    now = datetime.fromtimestamp(now_ms / 1000, ZoneInfo(line["timezone"]))
    begun = f"{now:%Y-%m-%d %H:%M:%S}" >= line["start_date"]
    return {"remaining_days": max(0, (end - now.date()).days) if begun else None, "total_days": (end - start).days}


def interval_time_faults(interval: Values) -> list[tuple[str, str]]:
    """Return (field, text) for a start that is not `hh:00:00`, an end that is not `hh:59:59` or not after the start."""
    faults = []
    if not interval["start_date"].endswith(":00:00"):
        faults.append(("start_date", "must be hh:00:00"))
    end = interval["end_date"]
    if end is not None and not end.endswith(":59:59"):
        faults.append(("end_date", "must be hh:59:59"))
    if end is not None and end <= interval["start_date"]:
        faults.append(("end_date", "must be after start_date"))
    return faults


def lies_within(interval: Values, zone: str, outer: Values, outer_zone: str) -> bool:
    """Return whether an interval lies within another, which may have no end."""
    if utc_of_wall_clock(interval["start_date"], zone) < utc_of_wall_clock(outer["start_date"], outer_zone):
        return False
    if outer["end_date"] is None:
        return True
    return interval["end_date"] is not None and utc_of_wall_clock(interval["end_date"], zone) <= utc_of_wall_clock(
        outer["end_date"], outer_zone
    )


async def check_intervals(work: UnitOfWork, values: Values, stored: Values | None) -> None:
    """Check the intervals and fill in their ids and defaults."""
    intervals: Sequence[Values] = values["budget_intervals"] or []
    for place, interval in enumerate(intervals):
        path = f"budget_intervals.{place}"
        zone = interval.pop("timezone")
        if zone not in (None, values["timezone"]):
            work.warn(f"{path}.timezone: not used, the times are in timezone {values['timezone']} of the object")
        for field, text in interval_time_faults(interval):
            work.invalid(f"{path}.{field}", text)
        if interval["lifetime_pacing"] and interval["lifetime_budget"] is None and not interval["lifetime_budget_imps"]:
            text = "needs lifetime_budget or lifetime_budget_imps"
            work.invalid(f"{path}.lifetime_pacing", text)
    ordered = sorted(intervals, key=lambda interval: interval["start_date"])
    for first, second in pairwise(ordered):
        if first["end_date"] is None or first["end_date"] >= second["start_date"]:
            work.invalid("budget_intervals", "must not overlap")
            break
    for interval in intervals:
        if stored is None or interval["id"] is None:
            interval["id"] = await work.new_part_id()
        paced = bool(interval["lifetime_pacing"])
        interval["lifetime_pacing"] = paced
        interval["enable_pacing"] = paced if interval["enable_pacing"] is None else interval["enable_pacing"]
        if paced and interval["lifetime_pacing_pct"] is None:
            interval["lifetime_pacing_pct"] = 100


def refuse_beside_intervals(work: UnitOfWork, values: Values, fields: Sequence[str]) -> None:
    """Add a fault for each of these fields that is set although the object has intervals."""
    for field in fields:
        if values["budget_intervals"] and values[field] is not None:
            work.invalid(field, "must be null beside budget_intervals")


def show_intervals(intervals: Sequence[Values] | None, owner_id: int, owner_type: str, zone: str) -> list[Any] | None:
    """Return intervals as they are shown, with their keys in the order of the documents' samples."""
    if not intervals:
        return None
    defaults = {"creatives": None, "parent_interval_id": None} if owner_type == "campaign_group" else {}
    head = {"object_id": owner_id, "object_type": owner_type, "timezone": zone}
    return [{"id": interval["id"], **head, **defaults, **interval} for interval in intervals]
