"""Bodies of guaranteed delivery line items and their insertion orders, after the documents' samples."""

from __future__ import annotations

import copy
from typing import Any

from tests.support.api_harness import Harness, Json

START, END = "2020-10-01 00:00:00", "2020-10-31 23:59:59"


def seamless(**fields: Any) -> Json:
    interval = {"start_date": START, "end_date": None, "timezone": "UTC"}
    return {"name": "Seamless", "budget_type": "impression", "budget_intervals": [interval], **fields}


def guaranteed(order: Json, *, exclusive: bool = False, **fields: Any) -> Json:
    """Return the documents' sample bodies."""
    interval: Json = {"start_date": START, "end_date": END, "timezone": "UTC"}
    goal: Json = {"type": "percentage", "percentage": 100, "disallow_non_guaranteed": True, "reserved": True}
    if not exclusive:
        interval |= {"lifetime_budget_imps": 150000, "lifetime_pacing": True, "lifetime_pacing_pct": 105}
        goal = {"type": "impressions", "disallow_non_guaranteed": False, "reserved": True}
    return {
        "name": "Test-GDALI",
        "advertiser_id": str(order["advertiser_id"]),
        "insertion_orders": [{"id": order["id"]}],
        "line_item_subtype": "gd_buying_exclusive" if exclusive else "gd_buying_imp",
        "state": "inactive",
        "priority": 14,
        "ad_types": ["banner"],
        "timezone": "UTC",
        "budget_intervals": [interval],
        "currency": "USD",
        "revenue_type": "cpm",
        "revenue_value": 1,
        "delivery_goal": goal,
        **fields,
    }


def changed(fields: Json, path: str, value: Any) -> Json:
    """Return a copy with one value set at a path such as `delivery_goal.type`; "absent" removes it."""
    fields = copy.deepcopy(fields)
    *way, last = path.split(".")
    place: Any = fields
    for step in way:
        place = place[int(step)] if step.isdigit() else place[step]
    if value == "absent":
        del place[last]
    else:
        place[last] = value
    return fields


async def create(api: Harness, order: Json, **fields: Any) -> Json:
    return await api.create("line-item", guaranteed(order, **fields), advertiser_id=order["advertiser_id"])
