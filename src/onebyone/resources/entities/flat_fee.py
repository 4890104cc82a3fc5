"""Flat fees of line items: when they are allocated, and that nothing changes a line item after that.

A fee is allocated on its date, a daily one day by day until its flight ends; neither before the line item has served an
impression. Nothing has to run for that: dates, the clock and the counted events say it at any moment.
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
    """`flat_fee` of a line item."""
    return {"flat_fee_status": status, **fee, "flat_fee_adjustment_id": None}


async def flat_fee_statuses(delivery_stats: DeliveryStats, rows: Sequence[Values]) -> dict[int, Status]:
    """The `flat_fee_status` of those line items that have a fee."""
    with_fee = [row for row in rows if row["doc"].get("flat_fee")]
    begun = [row["id"] for row in with_fee if _begun(row["doc"], delivery_stats.now_ms)]
    runs = await delivery_stats.run_hours(begun) if begun else {}
    return {row["id"]: _status(row["doc"], runs.get(row["id"]), delivery_stats.now_ms) for row in with_fee}


async def is_fully_allocated(delivery_stats: DeliveryStats, row: Values) -> bool:
    """Whether the whole fee of a line item was allocated."""
    return (await flat_fee_statuses(delivery_stats, [row])).get(row["id"]) == "allocated"


def _status(line: Values, run: RunHours | None, now_ms: int) -> Status:
    if run is None:
        return "pending"
    end = _end(line)
    return "allocated" if end is not None and _now(now_ms) >= end else "processing"


def _begun(line: Values, now_ms: int) -> bool:
    """Whether an impression would have any of the fee allocated by now."""
    end = _end(line)
    return line["flat_fee_type"] == "daily" or (end is not None and _now(now_ms) >= end)


def _end(line: Values) -> datetime | None:
    """When the last of the fee is allocated; None for a daily one without an end."""
    if line["flat_fee_type"] == "one_time":
        date = line["flat_fee"]["flat_fee_allocation_date"]
    else:
        ends = [interval["end_date"] for interval in line.get("budget_intervals") or ()] or [line.get("end_date")]
        date = None if None in ends else max(ends)
    return None if date is None else utc_of_wall_clock(date, line["timezone"])


def _now(now_ms: int) -> datetime:
    return datetime.fromtimestamp(now_ms / 1000, UTC)
