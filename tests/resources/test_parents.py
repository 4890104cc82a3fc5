"""The remaining fields of advertisers, insertion orders and plain line items; the documented rules of publishers."""

from __future__ import annotations

from typing import Any

import pytest

from tests.reports.report_harness import epoch_ms
from tests.support.api_harness import Harness, Json

pytestmark = pytest.mark.anyio
ENGINES = pytest.mark.parametrize("store_url", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture
async def advertiser(api: Harness) -> int:
    """Create an advertiser in UTC that uses insertion orders."""
    fields = {"name": "A", "use_insertion_orders": True, "timezone": "UTC"}
    return int((await api.create("advertiser", fields))["id"])


@ENGINES
async def test_fields_of_an_advertiser(api: Harness) -> None:
    made = await api.create("advertiser", {"name": "A"})
    defaults: Json = {
        "labels": None,
        "profile_id": None,
        "control_pct": 0,
        "remarketing_segment_id": None,
        "lifetime_budget": None,
        "lifetime_budget_imps": None,
        "daily_budget": None,
        "daily_budget_imps": None,
        "is_malicious": False,
        "is_running_political_ads": False,
        "legal_entity_name": None,
        "time_format": "12-hour",
    }
    assert {name: made[name] for name in defaults} == defaults
    fields = {"labels": [{"id": 3, "value": "Tina"}], "profile_id": "7", "control_pct": 0.25, "lifetime_budget": "5.5"}
    found = await api.put("advertiser", made["id"], {**fields, "billing_name": "N" * 50})
    assert found["labels"] == [{"id": 3, "value": "Tina", "name": "Account Manager"}]
    assert (found["profile_id"], found["control_pct"], found["lifetime_budget"]) == (7, 0.25, 5.5)
    put_back = await api.put("advertiser", made["id"], found)
    assert {**put_back, "last_modified": 0} == {**found, "last_modified": 0}
    for name, value in {
        "labels": [{"id": 2, "value": "x"}],
        "control_pct": 1.5,
        "billing_name": "N" * 51,
        "billing_phone": "1" * 21,
        "billing_zip": "1" * 26,
        "profile_id": 0,
    }.items():
        refused = await api.call("PUT", "advertiser", {"advertiser": {name: value}}, id=made["id"])
        assert refused["error"].startswith(name), name


@ENGINES
async def test_set_child_timezone(api: Harness, advertiser: int) -> None:
    flight = {"start_date": "2026-01-01 00:00:00", "end_date": "2026-01-31 23:59:59"}
    order = await api.create("insertion-order", {"name": "O", "budget_intervals": [flight]}, advertiser_id=advertiser)
    fields = {"name": "L", "budget_intervals": [flight], "insertion_orders": [{"id": order["id"]}]}
    line = await api.create("line-item", fields, advertiser_id=advertiser)
    foreign = await api.world()
    await api.put("advertiser", advertiser, {"timezone": "CET"})
    assert (await api.get("line-item", line["id"]))["timezone"] == "UTC"
    await api.put("advertiser", advertiser, {"timezone": "CET"}, set_child_timezone="false")
    assert (await api.get("line-item", line["id"]))["timezone"] == "UTC"
    changed = await api.call(
        "PUT", "advertiser", {"advertiser": {"timezone": "CET"}}, id=advertiser, set_child_timezone="true"
    )
    assert changed["dbg_info"]["warnings"] == []
    for service, row_id in (("insertion-order", order["id"]), ("line-item", line["id"])):
        found = await api.get(service, row_id)
        assert (found["timezone"], found["budget_intervals"][0]["timezone"]) == ("CET", "CET")
    assert (await api.get("line-item", foreign["line-item"]))["timezone"] == "EST5EDT"


@ENGINES
async def test_object_stats(api: Harness, advertiser: int) -> None:
    order = (await api.create("insertion-order", {"name": "O"}, advertiser_id=advertiser))["id"]
    for state in ("active", "inactive", "active"):
        fields = {"name": "L", "state": state, "insertion_orders": [{"id": order}] if state == "active" else None}
        await api.create("line-item", fields, advertiser_id=advertiser)
    found = (await api.call("GET", "advertiser", id=advertiser, object_stats="true"))["advertiser"]
    assert found["object_stats"] == {
        "insertion_orders": {"total": 1, "active": 1, "inactive": 0},
        "line_items": {"total": 3, "active": 2, "inactive": 1},
    }
    assert "object_stats" not in await api.get("advertiser", advertiser)
    found = (await api.call("GET", "insertion-order", id=order, object_stats="true"))["insertion-order"]
    assert found["object_stats"] == {"total": 2, "active": 2, "inactive": 0}


async def test_use_insertion_orders_cannot_be_unset_while_there_are_some(api: Harness, advertiser: int) -> None:
    sent = {"advertiser": {"use_insertion_orders": False}}
    order = await api.create("insertion-order", {"name": "O"}, advertiser_id=advertiser)
    refused = await api.call("PUT", "advertiser", sent, id=advertiser)
    assert (refused["error_id"], refused["error"].split(":")[0]) == ("INTEGRITY", "use_insertion_orders")
    await api.delete("insertion-order", order["id"])
    assert (await api.put("advertiser", advertiser, sent["advertiser"]))["use_insertion_orders"] is False


@ENGINES
async def test_labels_and_broker_fees_of_an_insertion_order(api: Harness, advertiser: int) -> None:
    fee = {"broker_id": 5, "payment_type": "revshare", "value": 0.15, "description": None}
    fields = {"name": "O", "labels": [{"id": 15, "value": "Ami"}], "broker_fees": [fee]}
    made = await api.create("insertion-order", fields, advertiser_id=advertiser)
    assert made["labels"] == [{"id": 15, "value": "Ami", "name": "Sales Rep"}]
    assert made["broker_fees"] == [fee]
    put_back = await api.put("insertion-order", made["id"], made)
    assert {**put_back, "last_modified": 0} == {**made, "last_modified": 0}
    for name, value in {
        "labels": [{"id": 7, "value": "x"}],
        "broker_fees": [{**fee, "payment_type": "gift"}],
    }.items():
        refused = await api.call("PUT", "insertion-order", {"insertion-order": {name: value}}, id=made["id"])
        assert refused["error"].startswith(f"{name}.0.")


@ENGINES
@pytest.mark.parametrize(
    ("now", "remaining"), [("2025-12-31 23:00:00", None), ("2026-01-01 00:00:00", 10), ("2026-02-01 00:00:00", 0)]
)
async def test_days_of_a_flight(api: Harness, advertiser: int, now: str, remaining: int | None) -> None:
    flight = {"start_date": "2026-01-01 00:00:00", "end_date": "2026-01-11 00:00:00"}
    await api.go_to(epoch_ms(now))
    for service in ("insertion-order", "line-item"):
        made = await api.create(service, {"name": "O", **flight}, advertiser_id=advertiser)
        assert (made["total_days"], made["remaining_days"]) == (10, remaining)
        open_end = await api.put(service, made["id"], {"end_date": None})
        assert (open_end["total_days"], open_end["remaining_days"]) == (None, None)


@pytest.mark.parametrize("kind", ["none", "cpm", "cpc", "cpa", "cost_plus_cpm", "cost_plus_margin", "vcpm", "est_cpm"])
async def test_revenue_types_of_plain_line_items(api: Harness, advertiser: int, kind: str) -> None:
    fields = {"name": "L", "revenue_type": kind, "revenue_value": 0.5}
    made = await api.create("line-item", fields, advertiser_id=advertiser)
    assert (made["revenue_type"], made["revenue_value"]) == (kind, 0.5)
    pixel = {"id": 3, "post_click_revenue": 2, "post_view_revenue": 1}
    response = await api.call("PUT", "line-item", {"line-item": {"pixels": [pixel]}}, id=made["id"])
    if kind == "cpa":
        shown = {**pixel, "state": "active", "name": None, "trigger_type": None}
        assert response["line-item"]["pixels"] == [shown]
    else:
        assert [fault.split(":")[0] for fault in response["error"].split("; ")] == [
            "pixels.0.post_click_revenue",
            "pixels.0.post_view_revenue",
        ]


async def test_margin_is_a_share_of_the_cost(api: Harness, advertiser: int) -> None:
    sent: Any = {"line-item": {"name": "L", "revenue_type": "cost_plus_margin", "revenue_value": 101}}
    refused = await api.call("POST", "line-item", sent, advertiser_id=advertiser)
    assert refused["error"].startswith("revenue_value: a margin")


async def test_creatives_show_all_keys(api: Harness, advertiser: int) -> None:
    made = await api.create("line-item", {"name": "L", "creatives": [{"id": 3}]}, advertiser_id=advertiser)
    (creative,) = made["creatives"]
    unknown = ("is_expired", "is_prohibited", "width", "height", "audit_status", "name", "state", "format", "ad_type")
    assert {name: creative[name] for name in unknown} == dict.fromkeys(unknown)
    assert (creative["id"], creative["all_budget_intervals"], creative["weight"]) == (3, True, None)
    put_back = await api.call("PUT", "line-item", {"line-item": made}, id=made["id"])
    assert put_back["dbg_info"]["warnings"] == []
    assert put_back["line-item"]["creatives"] == made["creatives"]


async def test_documented_publisher_rules(api: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api.context.settings, "publisher_rules", "documented")
    refused = await api.call("POST", "publisher", {"publisher": {"name": "P"}})
    wanted = ["billing_dba", "contact", "inventory_relationship"]
    assert [fault.split(":")[0] for fault in refused["error"].split("; ")] == wanted
    fields: Json = {"name": "P", "billing_dba": "D", "contact": {"name": "N"}, "inventory_relationship": "unknown"}
    made = await api.create("publisher", fields)
    assert made["state"] == "inactive"
    assert (await api.create("publisher", {**fields, "state": "active"}))["state"] == "active"
    direct: Json = {"publisher": {"inventory_relationship": "direct", "billing_city": "C"}}
    refused = await api.call("PUT", "publisher", direct, id=made["id"])
    wanted = ["billing_address1", "billing_state", "billing_zip", "billing_country"]
    assert [fault.split(":")[0] for fault in refused["error"].split("; ")] == wanted
    assert (await api.put("publisher", made["id"], {"state": "active"}))["state"] == "active"
