"""Flat fees of line items: when they are allocated, after which the line item can no longer be edited.

A fee is allocated on its date, a daily one day by day until its flight ends; neither before the line item has served an
impression. No job allocates it: the status follows at any moment from dates, the clock and the counted events.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal

from onebyone.reports.delivery_stats import DeliveryStats, RunHours
from onebyone.resources.entities.budget import utc_of_wall_clock
from onebyone.resources.entity import Values

Status = Literal["pending", "processing", "allocated"]


def show_flat_fee(fee: Values, status: Status) -> Values:
    """Return the `flat_fee` of a line item as it is shown."""
    return {"flat_fee_status": status, **fee, "flat_fee_adjustment_id": None}


async def flat_fee_statuses(delivery_stats: DeliveryStats, rows: Sequence[Values]) -> dict[int, Status]:
    """Return the `flat_fee_status` of the line items that have a fee, by id."""
    with_fee = [row for row in rows if row["doc"].get("flat_fee")]
    due = [row["id"] for row in with_fee if _allocation_has_begun(row["doc"], delivery_stats.now_ms)]
    runs = await delivery_stats.run_hours(due) if due else {}
    return {row["id"]: _status_of(row["doc"], runs.get(row["id"]), delivery_stats.now_ms) for row in with_fee}


async def is_fully_allocated(delivery_stats: DeliveryStats, row: Values) -> bool:
    """Return whether the whole fee of a line item is allocated."""
    return (await flat_fee_statuses(delivery_stats, [row])).get(row["id"]) == "allocated"


def _status_of(line: Values, run: RunHours | None, now_ms: int) -> Status:
    if run is None:
        return "pending"
    end = _allocation_end(line)
    return "allocated" if end is not None and _utc(now_ms) >= end else "processing"


def _allocation_has_begun(line: Values, now_ms: int) -> bool:
    """Return whether any of the fee would be allocated by now if the line item had an impression."""
    end = _allocation_end(line)
    return line["flat_fee_type"] == "daily" or (end is not None and _utc(now_ms) >= end)


def _allocation_end(line: Values) -> datetime | None:
    """Return when the last of the fee is allocated; None for a daily fee without an end."""
    if line["flat_fee_type"] == "one_time":
        date = line["flat_fee"]["flat_fee_allocation_date"]
    else:
        ends = [interval["end_date"] for interval in line.get("budget_intervals") or ()] or [line.get("end_date")]
        date = None if None in ends else max(ends)
    return None if date is None else utc_of_wall_clock(date, line["timezone"])


def _utc(now_ms: int) -> datetime:
    return datetime.fromtimestamp(now_ms / 1000, UTC)
