"""Guaranteed delivery line items: the documents' samples, and one row per rule. Plain line items at the end."""

from __future__ import annotations

from typing import Any

import pytest

from tests.resources.guaranteed import END, START, changed, create, guaranteed
from tests.support.api_harness import Harness, Json

pytestmark = pytest.mark.anyio
ENGINES = pytest.mark.parametrize("store_url", ["sqlite", "postgresql"], indirect=True)


@ENGINES
async def test_guaranteed_impressions_match_the_sample(api: Harness, order: Json) -> None:
    line = await create(api, order)
    expected: Json = {
        "code": None,
        "state": "inactive",
        "start_date": None,
        "discrepancy_pct": 0,
        "publishers_allowed": "all",
        "revenue_value": 1,
        "goal_type": "none",
        "click_url": None,
        "require_cookie_for_tracking": True,
        "flat_fee_type": None,
        "manage_creative": True,
        "budget_set_per_flight": True,
        "creative_distribution_type": None,
        "line_item_type": "standard_v2",
        "bid_object_type": "creative",
        "prefer_delivery_over_performance": False,
        "priority": 14,
        "viewability_vendor": "appnexus",
        "is_archived": False,
        "delivery_model_type": "guaranteed",
        "line_item_subtype": "gd_buying_imp",
        "advertiser": {"id": order["advertiser_id"], "name": "Advertiser"},
        "flat_fee": None,
        "supply_strategies": {"managed": True, "rtb": False, "deals": False, "programmatic_guaranteed": False},
        "labels": None,
        "imptrackers": None,
        "creatives": None,
        "auction_event": None,
        "roadblock": None,
        "ad_types": ["banner"],
        "lifetime_budget_imps": None,
        "lifetime_pacing_pct": None,
        "inventory_type": "direct",
    }
    assert {name: line[name] for name in expected} == expected
    assert "insertion_order_id" not in line
    goal = line["delivery_goal"]
    assert goal == {
        "id": goal["id"],
        "type": "impressions",
        "disallow_non_guaranteed": False,
        "percentage": None,
        "reserved": True,
        "guaranteed_delivery_version": None,
    }
    (interval,) = line["budget_intervals"]
    assert interval == {
        "id": interval["id"],
        "object_id": line["id"],
        "object_type": "campaign_group",
        "start_date": START,
        "end_date": END,
        "timezone": "UTC",
        "code": None,
        "parent_interval_id": None,
        "creatives": None,
        "lifetime_budget": None,
        "lifetime_budget_imps": 150000,
        "daily_budget_imps": None,
        "daily_budget": None,
        "enable_pacing": True,
        "lifetime_pacing": True,
        "lifetime_pacing_pct": 105,
        "enable_forecast_pacing": None,
    }
    (shown,) = line["insertion_orders"]
    assert (shown["id"], shown["budget_intervals"][0]["object_type"]) == (order["id"], "insertion_order")
    assert len({goal["id"], interval["id"], shown["budget_intervals"][0]["id"]}) == 3
    put_back = await api.put("line-item", line["id"], line)
    assert {**put_back, "last_modified": 0} == {**line, "last_modified": 0}


@ENGINES
async def test_exclusive_with_daily_flat_fee_matches_the_sample(api: Harness, order: Json) -> None:
    more = {"revenue_type": "flat_fee", "revenue_value": 100, "flat_fee_type": "daily"}
    line = await create(api, order, exclusive=True, **more)
    assert (line["delivery_model_type"], line["delivery_goal"]["percentage"]) == ("exclusive", 100)
    fee = {"flat_fee_status": "pending", "flat_fee_allocation_date": None, "flat_fee_adjustment_id": None}
    assert line["flat_fee"] == fee
    interval = line["budget_intervals"][0]
    assert (interval["enable_pacing"], interval["lifetime_pacing"], interval["lifetime_pacing_pct"]) == (
        False,
        False,
        None,
    )


async def test_defaults(api: Harness, order: Json) -> None:
    fields = guaranteed(order)
    for name in ("priority", "ad_types", "timezone", "currency"):
        del fields[name]
    fields = changed(
        changed(fields, "delivery_goal.type", "absent"), "budget_intervals.0.lifetime_pacing_pct", "absent"
    )
    fields["budget_intervals"] = fields["budget_intervals"][0]
    line = await api.create("line-item", fields, advertiser_id=order["advertiser_id"])
    assert (line["priority"], line["ad_types"], line["timezone"], line["currency"]) == (5, ["banner"], "UTC", "USD")
    assert line["delivery_goal"]["type"] == "impressions"
    assert line["budget_intervals"][0]["lifetime_pacing_pct"] == 100


async def test_subtype_overrides_contradicting_fields(api: Harness, order: Json) -> None:
    more = {
        "line_item_type": "standard_v1",
        "bid_object_type": "deal",
        "delivery_model_type": "exclusive",
        "supply_strategies": {"rtb": True},
    }
    line = await create(api, order, **more)
    assert (line["line_item_type"], line["bid_object_type"]) == ("standard_v2", "creative")
    assert (line["delivery_model_type"], line["supply_strategies"]["rtb"]) == ("guaranteed", False)


IMPRESSIONS: list[tuple[str, Any, str]] = [
    ("name", "absent", "name"),
    ("name", "x" * 256, "name"),
    ("code", "a b", "code"),
    ("state", "paused", "state"),
    ("revenue_type", "absent", "revenue_type"),
    ("revenue_type", "cpc", "revenue_type"),
    ("revenue_value", "absent", "revenue_value"),
    ("currency", "ABCD", "currency"),
    ("click_url", "x" * 1001, "click_url"),
    ("manage_creative", False, "manage_creative"),
    ("viewability_vendor", "moat", "viewability_vendor"),
    ("creative_distribution_type", "random", "creative_distribution_type"),
    ("prefer_delivery_over_performance", True, "prefer_delivery_over_performance"),
    ("priority", 0, "priority"),
    ("priority", 21, "priority"),
    ("ad_types", ["radio"], "ad_types.0"),
    ("line_item_subtype", "gd_other", "line_item_subtype"),
    *((name, START, name) for name in ("start_date", "end_date")),
    *((name, 5, name) for name in ("lifetime_budget", "lifetime_budget_imps", "daily_budget", "daily_budget_imps")),
    *((name, True, name) for name in ("enable_pacing", "lifetime_pacing", "allow_safety_pacing")),
    ("lifetime_pacing_pct", 100, "lifetime_pacing_pct"),
    ("lifetime_pacing_span", 3, "lifetime_pacing_span"),
    ("insertion_orders", "absent", "insertion_orders"),
    ("insertion_orders", [{"id": 999999}], "insertion_orders.0.id"),
    ("budget_intervals", "absent", "budget_intervals"),
    ("budget_intervals.0.start_date", "absent", "budget_intervals.0.start_date"),
    ("budget_intervals.0.start_date", "2020-10-01 00:30:00", "budget_intervals.0.start_date"),
    ("budget_intervals.0.start_date", "2020-09-30 23:00:00", "budget_intervals"),
    ("budget_intervals.0.end_date", None, "budget_intervals.0.end_date"),
    ("budget_intervals.0.end_date", "2020-10-31 23:00:00", "budget_intervals.0.end_date"),
    ("budget_intervals.0.end_date", "2020-09-30 23:59:59", "budget_intervals.0.end_date"),
    ("budget_intervals.0.lifetime_budget_imps", None, "budget_intervals.0.lifetime_budget_imps"),
    ("budget_intervals.0.lifetime_pacing", False, "budget_intervals.0.lifetime_pacing"),
    ("budget_intervals.0.enable_forecast_pacing", "maybe", "budget_intervals.0.enable_forecast_pacing"),
    ("budget_intervals.0.timezone", "Mars/Base", "budget_intervals.0.timezone"),
    ("budget_intervals.0.code", "a b", "budget_intervals.0.code"),
    ("budget_intervals.0.lifetime_pacing_pct", 49.9, "budget_intervals.0.lifetime_pacing_pct"),
    ("budget_intervals.0.lifetime_pacing_pct", 150.5, "budget_intervals.0.lifetime_pacing_pct"),
    ("budget_intervals.0.lifetime_budget", 1, "budget_intervals.0.lifetime_budget"),
    ("budget_intervals.0.daily_budget", 1, "budget_intervals.0.daily_budget"),
    ("delivery_goal", "absent", "delivery_goal"),
    ("delivery_goal.type", "percentage", "delivery_goal.type"),
    ("delivery_goal.percentage", 50, "delivery_goal.percentage"),
    ("delivery_goal.reserved", "absent", "delivery_goal.reserved"),
    ("flat_fee_type", "daily", "flat_fee_type"),
    ("labels", [{"id": 2, "value": "x"}], "labels.0.id"),
    ("labels", [{"id": 7, "value": "x" * 101}], "labels.0.value"),
    ("pixels", [{"id": number + 1} for number in range(21)], "pixels"),
    ("pixels", [{"id": 1, "post_click_revenue": 1}], "pixels.0.post_click_revenue"),
    ("auction_event", {"revenue_auction_event_type": "click"}, "auction_event.revenue_auction_event_type"),
    ("budget_scheduling_settings", {"underspend_catchup_type": "x"}, "budget_scheduling_settings"),
    ("roadblock", {"type": "exact"}, "roadblock.type"),
    ("roadblock", {"type": "partial_roadblock", "master_width": 300}, "roadblock.master_height"),
    ("roadblock", {"type": "partial_roadblock", "master_height": 300}, "roadblock.master_width"),
    ("roadblock", {"slot_type": "MIDDLE"}, "roadblock.slot_type"),
    ("creatives", [{}], "creatives.0.id"),
    ("creatives", [{"id": 1, "weight": 5}], "creatives.0.weight"),
    ("creatives", [{"id": 1, "weight": 1001}], "creatives.0.weight"),
    ("creatives", [{"id": 1, "custom_date_ranges": []}], "creatives.0.custom_date_ranges"),
]


@pytest.mark.parametrize(("path", "value", "fault"), IMPRESSIONS)
async def test_refused_fields_of_guaranteed_impressions(
    api: Harness, order: Json, path: str, value: Any, fault: str
) -> None:
    body = {
        "line-item": changed(guaranteed(order), path, value)
        if value == "absent" or "." in path
        else {**guaranteed(order), path: value}
    }
    response = await api.call("POST", "line-item", body, advertiser_id=order["advertiser_id"])
    assert response["status"] == "error"
    assert fault in [part.split(": ")[0][: len(fault)] for part in response["error"].split("; ")], response["error"]
    assert (await api.call("GET", "line-item"))["count"] == 0


@pytest.mark.parametrize(
    ("path", "value", "fault"),
    [
        *(
            (f"budget_intervals.0.{name}", 5, f"budget_intervals.0.{name}")
            for name in ("lifetime_budget", "lifetime_budget_imps", "daily_budget", "daily_budget_imps")
        ),
        ("budget_intervals.0.lifetime_pacing", True, "budget_intervals.0.lifetime_pacing"),
        ("delivery_goal.type", "impressions", "delivery_goal.type"),
        ("delivery_goal.percentage", None, "delivery_goal.percentage"),
        ("delivery_goal.percentage", -1, "delivery_goal.percentage"),
        ("delivery_goal.percentage", 101, "delivery_goal.percentage"),
        ("delivery_goal.percentage", 1.5, "delivery_goal.percentage"),
    ],
)
async def test_refused_fields_of_exclusive_delivery(
    api: Harness, order: Json, path: str, value: Any, fault: str
) -> None:
    body = {"line-item": changed(guaranteed(order, exclusive=True), path, value)}
    response = await api.call("POST", "line-item", body, advertiser_id=order["advertiser_id"])
    assert response["error"].startswith(f"{fault}: ")


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"flat_fee_type": "one_time"}, "flat_fee.flat_fee_allocation_date"),
        ({}, "flat_fee.flat_fee_allocation_date"),
        ({"flat_fee_type": "weekly"}, "flat_fee_type"),
        ({"flat_fee_type": "daily", "flat_fee": {"flat_fee_allocation_date": START}}, "flat_fee.flat_fee_alloc"),
        ({"flat_fee_type": "one_time", "flat_fee": {"flat_fee_allocation_date": "2020-11-01"}}, None),
        ({"flat_fee": {"flat_fee_allocation_date": "2020-11-01 00:00:00"}}, None),
        ({"flat_fee_type": "daily"}, None),
    ],
)
async def test_flat_fee(api: Harness, order: Json, fields: Json, fault: str | None) -> None:
    body = {"line-item": guaranteed(order, revenue_type="flat_fee", **fields)}
    response = await api.call("POST", "line-item", body, advertiser_id=order["advertiser_id"])
    if fault is None:
        assert response["line-item"]["flat_fee_type"] == fields.get("flat_fee_type", "one_time")
        assert response["line-item"]["flat_fee"]["flat_fee_status"] == "pending"
    else:
        assert response["error"].startswith(fault)


async def test_one_time_fee_is_limited_to_a_month(api: Harness, order: Json) -> None:
    fee: Json = {"revenue_type": "flat_fee", "flat_fee": {"flat_fee_allocation_date": "2021-01-01"}}
    fields = changed(guaranteed(order, **fee), "budget_intervals.0.end_date", "2020-11-01 00:59:59")
    response = await api.call("POST", "line-item", {"line-item": fields}, advertiser_id=order["advertiser_id"])
    assert response["error"].startswith("budget_intervals.0.end_date: the flight of a one_time flat fee")


@ENGINES
async def test_active_requires_reserved(api: Harness, order: Json) -> None:
    goal = {"type": "impressions", "reserved": False}
    refused = await api.call(
        "POST",
        "line-item",
        {"line-item": guaranteed(order, state="active", delivery_goal=goal)},
        advertiser_id=order["advertiser_id"],
    )
    assert refused["error"].startswith("state: delivery_goal.reserved must be true")
    line = await create(api, order, delivery_goal=goal)
    refused = await api.call("PUT", "line-item", {"line-item": {"state": "active"}}, id=line["id"])
    assert refused["error"].startswith("state: ")
    reserved = await api.put("line-item", line["id"], {"delivery_goal": {"reserved": True}})
    assert reserved["delivery_goal"] == {**line["delivery_goal"], "reserved": True}
    assert (await api.put("line-item", line["id"], {"state": "active"}))["state"] == "active"


@ENGINES
async def test_put_updates_the_only_interval_partially(api: Harness, order: Json) -> None:
    line = await create(api, order)
    interval = line["budget_intervals"][0]
    later = "2020-12-31 23:59:59"
    found = await api.put("line-item", line["id"], {"budget_intervals": [{"end_date": later}]})
    assert found["budget_intervals"] == [{**interval, "end_date": later}]
    again = await api.put("line-item", line["id"], {"budget_intervals": {"id": interval["id"], "code": "c"}})
    assert again["budget_intervals"] == [{**interval, "end_date": later, "code": "c"}]
    other = {**interval, "id": interval["id"] + 1000}
    refused = await api.call("PUT", "line-item", {"line-item": {"budget_intervals": [other]}}, id=line["id"])
    assert refused["error"].startswith("budget_intervals.0.id: ")
    both = [{"start_date": START, "end_date": END}, {"start_date": "2020-11-01 00:00:00", "end_date": later}]
    refused = await api.call("PUT", "line-item", {"line-item": {"budget_intervals": both}}, id=line["id"])
    assert "exactly one interval" in refused["error"]


@ENGINES
@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"currency": "EUR"}, "currency: cannot be changed"),
        ({"line_item_subtype": "gd_buying_exclusive"}, "line_item_subtype: cannot be changed"),
        ({"line_item_subtype": None}, "line_item_subtype: cannot be changed"),
        ({"inventory_type": "real_time"}, "inventory_type cannot be updated once supply_strategies has been set"),
    ],
)
async def test_immutable_fields(api: Harness, order: Json, fields: Json, error: str) -> None:
    line = await create(api, order)
    response = await api.call("PUT", "line-item", {"line-item": fields}, id=line["id"])
    assert error in response["error"].split("; ")
    ignored = await api.put(
        "line-item", line["id"], {"line_item_type": "standard_v1", "supply_strategies": {"rtb": True}}
    )
    assert {**ignored, "last_modified": 0} == {**line, "last_modified": 0}


async def test_nested_parts_are_stored_and_completed(api: Harness, order: Json) -> None:
    interval = {**guaranteed(order)["budget_intervals"][0], "creatives": [{"id": 12345}]}
    ranges = [{"start_date": "2020-10-05 00:00:00", "end_date": "2020-10-10 23:59:59"}]
    line = await create(
        api,
        order,
        labels={"id": 7, "value": "Michael Sellers"},
        pixels=[{"id": 5}],
        auction_event={"revenue_auction_event_type": "view", "revenue_auction_type_id": 77},
        roadblock={"type": "partial_roadblock", "master_width": 300, "master_height": "600"},
        budget_scheduling_settings={"underspend_catchup_type": "evenly"},
        creative_distribution_type="weighted",
        budget_intervals=[interval],
        creatives=[
            {"id": 56789, "weight": 1, "all_budget_intervals": True, "custom_date_ranges": None},
            {"id": 12345, "weight": 2, "all_budget_intervals": False, "custom_date_ranges": ranges},
        ],
    )
    assert line["labels"] == [{"id": 7, "value": "Michael Sellers", "name": "Trafficker"}]
    event = line["auction_event"]
    assert (event["revenue_auction_event_type_code"], event["revenue_auction_type_id"]) == ("view_display_50pv1s_an", 2)
    assert (line["roadblock"]["master_width"], line["roadblock"]["master_height"]) == (300, 600)
    assert line["creatives"][1]["custom_date_ranges"] == ranges
    assert (await api.put("line-item", line["id"], line))["creatives"] == line["creatives"]


@pytest.mark.parametrize(
    ("start", "end", "fault"),
    [
        ("2020-10-05 00:30:00", "2020-10-10 23:59:59", "start_date"),
        ("2020-10-05 00:00:00", "2020-10-10 23:00:00", "end_date"),
        ("2020-10-05 10:00:00", "2020-10-05 09:59:59", "end_date"),
        ("2020-09-05 00:00:00", "2020-10-10 23:59:59", "must lie within"),
        ("2020-10-05 00:00:00", "2020-11-10 23:59:59", "must lie within"),
        ("2020-10-05 00:00:00", "2038-01-19 00:59:59", "2038-01-19"),
        ("2020-10-05 00:00:00", None, "end_date"),
    ],
)
async def test_date_ranges_of_creatives(api: Harness, order: Json, start: str, end: str | None, fault: str) -> None:
    interval = {**guaranteed(order)["budget_intervals"][0], "creatives": [{"id": 5}]}
    creative = {"id": 5, "all_budget_intervals": False, "custom_date_ranges": [{"start_date": start, "end_date": end}]}
    body = {"line-item": guaranteed(order, budget_intervals=[interval], creatives=[creative])}
    response = await api.call("POST", "line-item", body, advertiser_id=order["advertiser_id"])
    assert "creatives.0.custom_date_ranges.0" in response["error"]
    assert fault in response["error"]


async def test_video_roadblocks_are_one_by_one(api: Harness, order: Json) -> None:
    block = {"type": "partial_roadblock", "master_width": 1, "master_height": 1, "slot_type": "AD_POD_FIRST"}
    line = await create(api, order, ad_types=["video"], roadblock=block)
    assert line["roadblock"] == block
    refused = await api.call("PUT", "line-item", {"line-item": {"roadblock": {"master_width": 300}}}, id=line["id"])
    assert refused["error"].startswith("roadblock.master_width: must be 1")


async def test_small_goals_and_short_flights_cause_warnings(api: Harness, order: Json) -> None:
    fields = changed(guaranteed(order), "budget_intervals.0.lifetime_budget_imps", 900)
    fields = changed(fields, "budget_intervals.0.end_date", "2020-10-01 02:59:59")
    fields = changed(fields, "budget_intervals.0.daily_budget_imps", 5)
    response = await api.call("POST", "line-item", {"line-item": fields}, advertiser_id=order["advertiser_id"])
    assert len(response["dbg_info"]["warnings"]) == 3


@ENGINES
async def test_plain_line_items(api: Harness) -> None:
    world = await api.world()
    line = await api.get("line-item", world["line-item"])
    assert (line["line_item_type"], line["line_item_subtype"], line["manage_creative"]) == ("standard_v1", None, False)
    assert (line["revenue_value"], line["revenue_type"], line["creative_distribution_type"]) == (0, "cpm", "even")
    assert (line["supply_strategies"], line["bid_object_type"], line["delivery_model_type"]) == (None, None, None)
    flights = [{"start_date": START, "end_date": END}, {"start_date": "2020-11-01 00:00:00", "end_date": None}]
    found = await api.put("line-item", line["id"], {"budget_intervals": flights, "inventory_type": "both"})
    assert [interval["start_date"] for interval in found["budget_intervals"]] == [START, "2020-11-01 00:00:00"]
    for fields, fault in (
        ({"lifetime_budget": 5}, "lifetime_budget: must be null beside"),
        ({"delivery_goal": {"type": "impressions"}}, "delivery_goal: needs a line_item_subtype"),
        ({"line_item_type": "standard_v2"}, "line_item_type: cannot be changed"),
        ({"supply_strategies": {"rtb": True, "programmatic_guaranteed": True}}, "supply_strategies: "),
        ({"roadblock": {"type": "partial_roadblock", "master_width": 1, "master_height": 1}}, "roadblock.type"),
        ({"revenue_type": "flat_fee"}, "flat_fee.flat_fee_allocation_date: "),
    ):
        refused = await api.call("PUT", "line-item", {"line-item": fields}, id=line["id"])
        assert refused["error"].startswith(fault)
    await api.put("line-item", line["id"], {"supply_strategies": {"rtb": True}})
    refused = await api.call("PUT", "line-item", {"line-item": {"inventory_type": "direct"}}, id=line["id"])
    assert refused["error"] == "inventory_type cannot be updated once supply_strategies has been set"
