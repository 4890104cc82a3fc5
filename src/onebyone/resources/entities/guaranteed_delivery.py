"""Guaranteed delivery line items (line-item-service, GDALI): what their subtype fixes, requires and forbids."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import select

from onebyone.config_store import tables
from onebyone.resources.entities import budget
from onebyone.resources.entities.line_item_parts import FaultAt
from onebyone.resources.entity import Values
from onebyone.resources.ordered_links import OrderedLinks
from onebyone.resources.unit_of_work import UnitOfWork

EXCLUSIVE = "gd_buying_exclusive"
_GOALS = {"gd_buying_imp": "impressions", EXCLUSIVE: "percentage"}
_NULL_FIELDS = (
    "start_date",
    "end_date",
    *budget.BUDGETS,
    *budget.PACING,
)
"""Fields that only other line items use; here `budget_intervals` replaces them."""
_MONTH = timedelta(days=31)
"""The longest month: a one-time flat fee may span any calendar month."""
_SMALL_DAILY_GOAL = 1000
"""Impressions a day up to which the documents warn that a goal may be reached early."""


def apply_subtype(values: Values) -> None:
    """Set the fields that the subtype determines, overriding what was sent."""
    values["line_item_type"] = "standard_v2"
    values["supply_strategies"] = {"managed": True, "rtb": False, "deals": False, "programmatic_guaranteed": False}
    if values["delivery_goal"] is not None and values["delivery_goal"]["type"] is None:
        values["delivery_goal"]["type"] = _GOALS[values["line_item_subtype"]]


def check_guaranteed_delivery(
    work: UnitOfWork, values: Values, order_ids: Sequence[int], orders: Sequence[Values]
) -> None:
    """Check the rules that only guaranteed delivery has; `orders` are the rows found for `order_ids`."""
    fault = work.invalid
    for field in ("revenue_type", "revenue_value"):
        if values[field] is None:
            fault(field, "required for guaranteed delivery")
    if values["revenue_type"] not in (None, "cpm", "flat_fee"):
        fault("revenue_type", "must be cpm or flat_fee for guaranteed delivery")
    for field in _NULL_FIELDS:
        if values[field] is not None:
            fault(field, "must be null for guaranteed delivery, use budget_intervals")
    if not values["manage_creative"]:
        fault("manage_creative", "must be true for guaranteed delivery")
    if values["prefer_delivery_over_performance"]:
        fault("prefer_delivery_over_performance", "not supported for guaranteed delivery")
    _check_goal(values, fault)
    intervals = values["budget_intervals"] or []
    if len(intervals) != 1:
        fault("budget_intervals", "guaranteed delivery needs exactly one interval")
    else:
        _check_interval(work, values, intervals[0])
    if not order_ids:
        fault("insertion_orders", "guaranteed delivery needs a seamless insertion order")
    for place, order in enumerate(orders):
        for text in order_faults(order):
            work.conflict(f"insertion_orders.{place}.id", text)


def _check_goal(values: Values, fault: FaultAt) -> None:
    goal = values["delivery_goal"]
    if goal is None:
        fault("delivery_goal", "required for guaranteed delivery")
        return
    wanted = _GOALS[values["line_item_subtype"]]
    if goal["type"] != wanted:
        fault("delivery_goal.type", f"must be {wanted} with line_item_subtype {values['line_item_subtype']}")
    if goal["reserved"] is None:
        fault("delivery_goal.reserved", "required")
    if wanted == "percentage" and goal["percentage"] is None:
        fault("delivery_goal.percentage", "required, an integer from 0 to 100")
    if wanted == "impressions" and goal["percentage"] is not None:
        fault("delivery_goal.percentage", "must be null with a goal of impressions")
    if values["state"] == "active" and not goal["reserved"]:
        fault("state", "delivery_goal.reserved must be true before the line item can be active")


def _check_interval(work: UnitOfWork, values: Values, interval: Values) -> None:
    fault = work.invalid
    path = "budget_intervals.0"
    if interval["end_date"] is None:
        fault(f"{path}.end_date", "required for guaranteed delivery")
    exclusive = values["line_item_subtype"] == EXCLUSIVE
    for field in budget.BUDGETS if exclusive else budget.REVENUE:
        if interval[field] is not None:
            fault(f"{path}.{field}", f"must be null with line_item_subtype {values['line_item_subtype']}")
    if not exclusive and not interval["lifetime_budget_imps"]:
        fault(f"{path}.lifetime_budget_imps", "required for guaranteed impressions")
    if not exclusive and not interval["lifetime_pacing"]:
        fault(f"{path}.lifetime_pacing", "must be true for guaranteed impressions")
    if interval["end_date"] is None or interval["end_date"] <= interval["start_date"]:
        return
    zone = values["timezone"]
    length = budget.utc_of_wall_clock(interval["end_date"], zone) - budget.utc_of_wall_clock(
        interval["start_date"], zone
    )
    if values["flat_fee_type"] == "one_time" and length > _MONTH:
        fault(f"{path}.end_date", "the flight of a one_time flat fee cannot be longer than one month")
    if length < 4 * budget.HOUR - timedelta(seconds=1):
        work.warn(f"{path}: an interval should last 4 hours at least")
    days = max(1.0, length / timedelta(days=1))
    if not exclusive and (interval["lifetime_budget_imps"] or 0) / days <= _SMALL_DAILY_GOAL:
        work.warn(f"{path}: a goal of 1000 impressions a day or less may be reached before end_date")
    if interval["daily_budget_imps"] is not None:
        work.warn(f"{path}.daily_budget_imps: may impact delivery beside lifetime_budget_imps")


def order_faults(order: Values) -> list[str]:
    """Return the reasons why an insertion order cannot have guaranteed delivery line items."""
    intervals = order["doc"].get("budget_intervals") or []
    faults = []
    if order["doc"].get("budget_type") == "revenue":
        faults.append("budget_type of the insertion order must be impression or flexible")
    if len(intervals) != 1:
        faults.append("the insertion order must be seamless, with exactly one budget interval")
    elif any(intervals[0][field] is not None for field in budget.BUDGETS):
        faults.append("the budget of the insertion order must be unlimited")
    return faults


async def check_order_of_lines(work: UnitOfWork, order: Values, orders: OrderedLinks) -> None:
    """Check that a changed order still suits its line items; `order` is its row with the new fields on top."""
    line_item = tables.line_item
    lines = select(orders.owner).where(orders.target == order["id"])
    query = select(line_item.c.id, line_item.c.doc).where(line_item.c.id.in_(lines)).order_by(line_item.c.id)
    changed = {"doc": {name: order[name] for name in ("budget_type", "budget_intervals", "timezone")}}
    for line in await work.connection.execute(query):
        if line.doc.get("line_item_subtype"):
            for text in order_faults(changed):
                work.conflict("budget_intervals", f"{text} (line-item {line.id})")
        if not intervals_covered(line.doc, [changed]):
            work.conflict("budget_intervals", f"must contain the intervals of line-item {line.id}")


def intervals_covered(line: Values, orders: Sequence[Values]) -> bool:
    """Return whether each interval of a line item lies within one of its insertion orders; without any, return true."""
    outer = [
        (interval, order["doc"]["timezone"])
        for order in orders
        for interval in order["doc"].get("budget_intervals") or ()
    ]
    return not outer or all(
        any(budget.lies_within(interval, line["timezone"], other, zone) for other, zone in outer)
        for interval in line.get("budget_intervals") or ()
    )
