"""The objects inside a line item: delivery goal, flat fee, roadblock, auction event, creatives and so on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from onebyone.resources import labels
from onebyone.resources.entities.budget import HOUR, BudgetInterval, utc_of_wall_clock
from onebyone.resources.entity import Values
from onebyone.resources.fields import Amount, Body, Boolean, Code, Integer, ObjectId, ObjectLink, Timestamp, as_list
from onebyone.resources.unit_of_work import UnitOfWork

LAST_MOMENT = "2038-01-19 00:00:00"
"""Latest end of a date range, as documented."""
FaultAt = Callable[[str, str], None]
"""Adds a fault: (path, text)."""
EVENT_KEYS = (
    *("revenue_auction_event_type", "revenue_auction_event_type_code", "revenue_auction_type_id"),
    *("kpi_auction_event_type", "kpi_auction_event_type_code", "kpi_auction_type_id", "kpi_value"),
    *("payment_auction_event_type", "payment_auction_event_type_code", "payment_auction_type_id"),
)
AdType = Literal["banner", "video", "native"]


class LineItemLabel(labels.Labelled):
    """A label of a line item."""

    id: Annotated[Integer, AfterValidator(labels.label_id_validator("line_item"))]


class InsertionOrderLink(ObjectLink):
    """An insertion order of a line item; its other keys are written through the `insertion-order` service."""

    shown = (
        *("state", "code", "name", "advertiser_id", "start_date", "end_date", "timezone", "last_modified", "currency"),
        *("budget_type", "budget_intervals", "political_content"),
    )


class ConversionPixel(Body):
    """A conversion pixel. Its name and trigger are null, because no service here has them."""

    shown = ("name", "trigger_type")
    id: ObjectId
    state: Literal["active", "inactive"] = "active"
    post_click_revenue: Amount | None = None
    post_view_revenue: Amount | None = None


class DateRange(Body):
    """The dates between which a creative runs."""

    start_date: Timestamp
    end_date: Timestamp


class Creative(Body):
    """A creative of a line item. Its read-only keys are null, because no service here has them."""

    shown = (
        *("is_expired", "is_prohibited", "width", "audit_status", "name", "pop_window_maximize", "height"),
        *("state", "format", "is_self_audited", "ad_type"),
    )
    id: ObjectId | None = None
    code: Code = None
    weight: Annotated[Integer, Field(ge=1, le=1000)] | None = None
    all_budget_intervals: Boolean = True
    custom_date_ranges: Annotated[list[DateRange], Field(max_length=100), BeforeValidator(as_list)] | None = None


class IntervalCreative(Body):
    """A creative of a budget interval."""

    id: ObjectId | None = None
    code: Code = None


class LineItemInterval(BudgetInterval):
    """One flight of a line item. `parent_interval_id` is ignored, as documented."""

    shown = (*BudgetInterval.shown, "parent_interval_id")
    enable_forecast_pacing: Boolean | None = None
    creatives: Annotated[list[IntervalCreative], Field(max_length=1000), BeforeValidator(as_list)] | None = None


class DeliveryGoal(Body):
    """What a guaranteed delivery line item has to deliver."""

    shown = ("guaranteed_delivery_version",)
    id: ObjectId | None = None
    type: Literal["impressions", "percentage"] | None = None
    disallow_non_guaranteed: Boolean = False
    percentage: Annotated[Integer, Field(ge=0, le=100)] | None = None
    reserved: Boolean | None = None


class SupplyStrategies(Body):
    """The kinds of inventory that a line item buys."""

    managed: Boolean = False
    rtb: Boolean = False
    deals: Boolean = False
    programmatic_guaranteed: Boolean = False


class FlatFee(Body):
    """When the flat fee of a line item is allocated."""

    shown = ("flat_fee_status", "flat_fee_adjustment_id")
    flat_fee_allocation_date: Timestamp | None = None


class Roadblock(Body):
    """How the creatives of a page are served together. `ad_types`, which some samples repeat here, is ignored."""

    shown = ("ad_types",)
    type: Literal["partial_roadblock"] | None = None
    master_width: Annotated[Integer, Field(ge=1, le=10_000)] | None = None
    master_height: Annotated[Integer, Field(ge=1, le=10_000)] | None = None
    slot_type: Literal["AD_POD_FIRST", "AD_POD_LAST", "INTRO_BUMPER", "OUTRO_BUMPER"] | None = None


class AuctionEvent(Body):
    """The event that is paid for. Its type determines codes and ids; those sent are ignored, as documented."""

    shown = EVENT_KEYS[1:]
    revenue_auction_event_type: Literal["impression", "view"] = "impression"


class BudgetScheduling(Body):
    """How to catch up with a budget that was not spent."""

    underspend_catchup_type: Literal["evenly", "ASAP"] = "ASAP"


def show_auction_event(stored: Values | None) -> Values | None:
    """Return the auction event as it is shown."""
    if stored is None:
        return None
    view = stored["revenue_auction_event_type"] == "view"
    nothing: dict[str, Any] = dict.fromkeys(EVENT_KEYS)
    return {
        **nothing,
        "revenue_auction_event_type": "view" if view else "impression",
        "revenue_auction_event_type_code": "view_display_50pv1s_an" if view else "impression",
        "revenue_auction_type_id": 2 if view else 1,
    }


def with_null_keys(parts: Sequence[Values] | None, model: type[Body]) -> list[Values] | None:
    """Return parts with all their documented keys; those that no service here has are null."""
    return [{**dict.fromkeys(model.shown), **part} for part in parts] if parts else None


def check_parts(work: UnitOfWork, values: Values) -> None:
    """Check the rules within and between the parts of any line item."""
    fault = work.invalid
    strategies = values["supply_strategies"]
    if (
        strategies
        and strategies["programmatic_guaranteed"]
        and any(strategies[name] for name in ("managed", "rtb", "deals"))
    ):
        fault("supply_strategies", "with programmatic_guaranteed the others must be false")
    for place, pixel in enumerate(values["pixels"] or ()):
        for field in ("post_click_revenue", "post_view_revenue"):
            if pixel[field] is not None and values["revenue_type"] != "cpa":
                fault(f"pixels.{place}.{field}", "needs revenue_type cpa")
    event = values["auction_event"]
    if event and event["revenue_auction_event_type"] == "view" and values["revenue_type"] != "cpm":
        fault("auction_event.revenue_auction_event_type", "view needs revenue_type cpm")
    block = values["roadblock"]
    if block is not None and block["type"] is not None:
        sizes = ("master_width", "master_height")
        for size in sizes:
            if block[size] is None:
                fault(f"roadblock.{size}", "required with type partial_roadblock")
            elif "video" in values["ad_types"] and block[size] != 1:
                fault(f"roadblock.{size}", "must be 1 for video")
        if not (strategies and strategies["managed"]):
            fault("roadblock.type", "a roadblock needs managed inventory")
    _check_fee(values, fault)
    for place, creative in enumerate(values["creatives"] or ()):
        _check_creative(values, creative, f"creatives.{place}", fault)


def _check_fee(values: Values, fault: FaultAt) -> None:
    if values["revenue_type"] != "flat_fee":
        for field in ("flat_fee", "flat_fee_type"):
            if values[field] is not None:
                fault(field, "must be null unless revenue_type is flat_fee")
        return
    values["flat_fee_type"] = values["flat_fee_type"] or "one_time"
    allocation = (values["flat_fee"] or {"flat_fee_allocation_date": None})["flat_fee_allocation_date"]
    if values["flat_fee_type"] == "one_time" and allocation is None:
        fault("flat_fee.flat_fee_allocation_date", "required with flat_fee_type one_time")
    if values["flat_fee_type"] == "daily" and allocation is not None:
        fault("flat_fee.flat_fee_allocation_date", "must be null with flat_fee_type daily")
    values["flat_fee"] = {"flat_fee_allocation_date": allocation}


def _check_creative(values: Values, creative: Values, path: str, fault: FaultAt) -> None:
    if creative["id"] is None and creative["code"] is None:
        fault(f"{path}.id", "id or code is required")
    if creative["weight"] is not None and values["creative_distribution_type"] != "weighted":
        fault(f"{path}.weight", "needs creative_distribution_type weighted")
    intervals = values["budget_intervals"] or []
    named = [key for interval in intervals for key in interval["creatives"] or ()]
    listed_there = any(
        (creative["id"] is not None and creative["id"] == other["id"])
        or (creative["code"] is not None and creative["code"] == other["code"])
        for other in named
    )
    ranges = creative["custom_date_ranges"]
    if creative["all_budget_intervals"]:
        if ranges is not None:
            fault(f"{path}.custom_date_ranges", "must be null with all_budget_intervals")
        if listed_there:
            fault(f"{path}.all_budget_intervals", "must be false for a creative of a budget interval")
        return
    if ranges is not None and not listed_there:
        fault(f"{path}.custom_date_ranges", "the creative must be one of a budget interval")
    for place, date_range in enumerate(ranges or ()):
        _check_date_range(values, date_range, f"{path}.custom_date_ranges.{place}", fault)


def _check_date_range(values: Values, date_range: Values, path: str, fault: FaultAt) -> None:
    start, end = date_range["start_date"], date_range["end_date"]
    if not start.endswith(":00:00"):
        fault(f"{path}.start_date", "must be hh:00:00")
    if not end.endswith(":59:59"):
        fault(f"{path}.end_date", "must be hh:59:59")
    if end > LAST_MOMENT:
        fault(f"{path}.end_date", f"must not be later than {LAST_MOMENT}")
    # An end is the last second of its hour: 10:00:00 to 10:59:59 is one hour.
    if (utc_of_wall_clock(end, "UTC") - utc_of_wall_clock(start, "UTC")).total_seconds() + 1 < HOUR.total_seconds():
        fault(f"{path}.end_date", "a date range must be at least an hour long")
    intervals = values["budget_intervals"] or []
    if not any(
        interval["start_date"] <= start and (interval["end_date"] is None or end <= interval["end_date"])
        for interval in intervals
    ):
        fault(path, "must lie within a budget interval")
