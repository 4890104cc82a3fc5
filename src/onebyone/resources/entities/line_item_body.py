"""The fields of a line item: those that callers write, those that are fixed, and their order on the wire."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from onebyone.resources.entities import line_item_parts as parts
from onebyone.resources.entities.budget import Count, Pace
from onebyone.resources.fields import (
    Amount,
    Body,
    Boolean,
    Currency,
    Integer,
    LongText,
    Name,
    ObjectId,
    OptionalMoney,
    State,
    StrictCode,
    Text1000,
    Timestamp,
    TimeZone,
    as_list,
)

Intervals = Annotated[list[parts.LineItemInterval], Field(max_length=52), BeforeValidator(as_list)]
Creatives = Annotated[list[parts.Creative], Field(max_length=1000), BeforeValidator(as_list)]


RevenueType = Literal["none", "cpm", "cpc", "cpa", "cost_plus_cpm", "cost_plus_margin", "flat_fee", "vcpm", "est_cpm"]


class LineItemBody(Body):
    """Writable fields; one that is None here may have a default that depends on the subtype."""

    code: StrictCode = None
    name: Name
    state: State = "active"
    start_date: Timestamp | None = None
    end_date: Timestamp | None = None
    timezone: TimeZone | None = None
    revenue_value: OptionalMoney = None
    revenue_type: RevenueType | None = None
    click_url: Text1000 | None = None
    currency: Currency | None = None
    require_cookie_for_tracking: Boolean = True
    profile_id: ObjectId | None = None
    flat_fee_type: Literal["one_time", "daily"] | None = None
    comments: LongText | None = None
    manage_creative: Boolean | None = None
    creative_distribution_type: Literal["even", "weighted", "ctr-optimized"] | None = None
    line_item_type: Literal["standard_v1", "standard_v2"] | None = None
    prefer_delivery_over_performance: Boolean = False
    priority: Annotated[Integer, Field(ge=1, le=20)] = 5
    viewability_vendor: Literal["appnexus"] = "appnexus"
    line_item_subtype: Literal["gd_buying_imp", "gd_buying_exclusive"] | None = None
    flat_fee: parts.FlatFee | None = None
    supply_strategies: parts.SupplyStrategies | None = None
    delivery_goal: parts.DeliveryGoal | None = None
    labels: Annotated[list[parts.LineItemLabel], Field(max_length=10), BeforeValidator(as_list)] | None = None
    pixels: Annotated[list[parts.ConversionPixel], Field(max_length=20), BeforeValidator(as_list)] | None = None
    insertion_orders: (
        Annotated[list[parts.InsertionOrderLink], Field(max_length=100), BeforeValidator(as_list)] | None
    ) = None
    creatives: Creatives | None = None
    budget_intervals: Intervals | None = None
    auction_event: parts.AuctionEvent | None = None
    roadblock: parts.Roadblock | None = None
    budget_scheduling_settings: parts.BudgetScheduling | None = None
    ad_types: Annotated[list[parts.AdType], Field(max_length=3)] | None = None
    lifetime_budget: Amount | None = None
    lifetime_budget_imps: Count | None = None
    daily_budget: Amount | None = None
    daily_budget_imps: Count | None = None
    enable_pacing: Boolean | None = None
    allow_safety_pacing: None = None
    lifetime_pacing: Boolean | None = None
    lifetime_pacing_span: None = None
    lifetime_pacing_pct: Pace | None = None
    inventory_type: Literal["direct", "real_time", "both"] = "direct"


FIXED: dict[str, tuple[str, Any]] = {
    "discrepancy_pct": ("double", 0),
    "publishers_allowed": ("string", "all"),
    "goal_type": ("string", "none"),
    "goal_value": ("double", None),
    "enable_v8": ("boolean", True),
    "is_archived": ("boolean", False),
    "archived_on": ("date", None),
    "waive_deductions_when_disallowed": ("boolean", False),
    "deals": ("array of objects", None),
    "broker_fees": ("array of objects", None),
    "goal_pixels": ("array of objects", None),
    "campaigns": ("array of objects", None),
    "valuation": ("object", None),
    "custom_models": ("array of objects", None),
    "inventory_discovery": ("object", None),
    "incrementality": ("object", None),
    "custom_optimization_note": ("string", None),
    "user_info": ("object", None),
    "partner_fees": ("array of objects", None),
    "product": ("object", None),
    "in_demo_measurement": ("object", None),
}
"""Documented fields without an effect here, which callers cannot write: field -> (type word, value shown)."""

# fmt: off
OUTPUT = (
    "id", "code", "name", "advertiser_id", "state", "start_date", "end_date", "timezone", "discrepancy_pct",
    "publishers_allowed", "revenue_value", "revenue_type", "goal_type", "goal_value", "last_modified", "click_url",
    "currency", "require_cookie_for_tracking", "profile_id", "member_id", "flat_fee_type", "comments",
    "remaining_days", "total_days", "manage_creative", "budget_set_per_flight", "creative_distribution_type",
    "line_item_type", "bid_object_type", "prefer_delivery_over_performance", "priority", "enable_v8",
    "viewability_vendor", "is_archived", "archived_on", "delivery_model_type", "waive_deductions_when_disallowed",
    "line_item_subtype", "advertiser", "flat_fee", "supply_strategies", "deals", "delivery_goal", "labels",
    "broker_fees", "pixels", "insertion_orders", "goal_pixels", "imptrackers", "clicktrackers", "campaigns",
    "valuation", "creatives", "budget_intervals", "custom_models", "inventory_discovery", "incrementality",
    "auction_event", "custom_optimization_note", "roadblock", "budget_scheduling_settings", "ad_types", "user_info",
    "partner_fees", "product", "in_demo_measurement", "lifetime_budget", "lifetime_budget_imps", "daily_budget",
    "daily_budget_imps", "enable_pacing", "allow_safety_pacing", "lifetime_pacing", "lifetime_pacing_span",
    "lifetime_pacing_pct", "inventory_type", "insertion_order_id", "all_stats", "first_run", "last_run",
)
# fmt: on
"""Keys of a line item in the order of the documents' samples."""
