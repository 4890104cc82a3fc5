"""The parents of trackers: defaults, children created and deleted with them, codes, and refused input."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.support.api_harness import Harness, Json

pytestmark = pytest.mark.anyio
ENGINES = pytest.mark.parametrize("store_url", ["sqlite", "postgresql"], indirect=True)


@ENGINES
async def test_new_publisher_has_children_and_documented_defaults(api: Harness) -> None:
    response = await api.call("POST", "publisher", {"publisher": {"name": "Demo Publisher"}})
    publisher = response["publisher"]
    assert response["id"] == publisher["id"]
    expected: Json = {
        "code": None,
        "expose_domains": True,
        "is_rtb": False,
        "reselling_exposure": "private",
        "reselling_exposed_on": "1970-01-01 00:00:01",
        "timezone": "EST5EDT",
        "max_learn_pct": 0,
        "learn_bypass_cpm": 5,
        "accept_demand_partner_usersync": None,
        "allow_cpa_external": False,
        "allow_cpm_external": True,
        "managed_cpc_bias_pct": 100,
        "description": "",
        "state": "active",
        "is_oo": False,
        "currency": "USD",
        "cpm_reselling_disabled": False,
        "labels": None,
        "external_inv_codes": None,
        "contact_info": None,
        "publisher_brand_exceptions": None,
    }
    assert {name: publisher[name] for name in expected} == expected
    assert list(publisher)[:4] == ["id", "code", "reselling_name", "expose_domains"]
    placement = await api.get("placement", publisher["placements"][0]["id"])
    assert (placement["name"], placement["publisher_name"]) == ("[Demo Publisher] - Default", "Demo Publisher")
    assert placement["site_id"] == publisher["default_site_id"]
    assert placement["site_name"] == "[Demo Publisher] - ROS"
    site = await api.get("site", publisher["default_site_id"])
    assert site["placements"] == [{"id": placement["id"], "code": None}]
    rule = await api.get("payment-rule", publisher["base_payment_rule_id"])
    assert (rule["name"], rule["priority"], rule["revshare"]) == ("Base Payment Rule", 1, 0)


@ENGINES
async def test_publisher_without_default_placement(api: Harness) -> None:
    given: Json = {"publisher": {"name": "Q", "default_site_id": 1}}
    warned = (await api.call("POST", "publisher", given))["dbg_info"]["warnings"]
    assert warned == ["default_site_id: not used, a new publisher gets its own"]
    publisher = await api.create("publisher", {"name": "P"}, create_default_placement="false")
    assert (publisher["default_site_id"], publisher["placements"]) == (None, None)
    assert publisher["base_payment_rule_id"]
    assert (await api.call("GET", "site", publisher_id=publisher["id"]))["sites"] == []


@ENGINES
async def test_publisher_nested_fields(api: Harness) -> None:
    publisher = await api.create(
        "publisher",
        {
            "name": "P",
            "labels": [{"id": 2, "value": "Michael"}],
            "contact": {"name": "N", "email": "e@x", "phone": "1"},
            "inventory_relationship": "owned_operated",
            "reselling_exposure": "public",
        },
    )
    assert publisher["labels"] == [{"id": 2, "value": "Michael", "name": "Salesperson"}]
    assert publisher["is_oo"] is True
    assert publisher["reselling_exposed_on"] > "2020"
    put_back = await api.put("publisher", publisher["id"], publisher)
    assert {**put_back, "last_modified": 0} == {**publisher, "last_modified": 0}
    refused = await api.call("PUT", "publisher", {"publisher": {"currency": "EUR"}}, id=publisher["id"])
    assert refused["error"] == "currency: cannot be changed"
    bad = await api.call("POST", "publisher", {"publisher": {"name": "P", "labels": [{"id": 3, "value": "x"}]}})
    assert bad["error"].startswith("labels.0.id: ")


@ENGINES
async def test_deleting_a_line_item_or_advertiser_deletes_trackers(api: Harness) -> None:
    world = await api.world()
    second = await api.create("line-item", {"name": "Second"}, advertiser_id=world["advertiser"])
    first_tracker = await api.tracker("imptracker", world)
    await api.tracker("clicktracker", world, click_url="https://a.example/")
    await api.tracker("clicktracker", {**world, "line-item": second["id"]})
    shown = await api.get("line-item", world["line-item"])
    assert shown["imptrackers"] == [{"id": first_tracker["id"], "name": "T", "code": None, "state": "active"}]
    assert len(shown["clicktrackers"]) == 1
    assert (await api.delete("line-item", world["line-item"]))["status"] == "OK"
    assert (await api.call("GET", "imptracker"))["count"] == 0
    assert (await api.call("GET", "clicktracker"))["count"] == 1
    assert (await api.delete("advertiser", world["advertiser"]))["status"] == "OK"
    assert (await api.call("GET", "clicktracker"))["count"] == 0
    assert (await api.call("GET", "line-item"))["count"] == 0


@ENGINES
async def test_objects_used_by_trackers_cannot_be_deleted(api: Harness) -> None:
    world = await api.world()
    rule = await api.create("payment-rule", {"name": "R", "revshare": 0.5}, publisher_id=world["publisher"])
    tracker = await api.tracker("imptracker", world, tag={"id": world["placement"]}, payment_rule={"id": rule["id"]})
    for service, row_id in (
        ("publisher", world["publisher"]),
        ("site", world["site"]),
        ("placement", world["placement"]),
        ("payment-rule", rule["id"]),
        ("payment-rule", world["payment-rule"]),
    ):
        refused = await api.delete(service, row_id)
        assert refused["error_id"] == "INTEGRITY", service
        assert (await api.get(service, row_id))["id"] == row_id
    await api.delete("imptracker", tracker["id"])
    assert (await api.delete("site", world["site"]))["status"] == "OK"
    left = await api.get("publisher", world["publisher"])
    assert (left["default_site_id"], left["placements"]) == (None, None)
    assert (await api.delete("publisher", world["publisher"]))["status"] == "OK"
    for service in ("site", "placement", "payment-rule"):
        assert (await api.call("GET", service))["count"] == 0


@ENGINES
async def test_money_is_accepted_as_text_and_returned_as_number(api: Harness) -> None:
    world = await api.world()
    rule = await api.create(
        "payment-rule", {"name": "R", "pricing_type": "cpm", "cost_cpm": "0.4"}, publisher_id=world["publisher"]
    )
    assert rule["cost_cpm"] == 0.4
    line = await api.put("line-item", world["line-item"], {"revenue_value": 2.5, "revenue_type": "cpc"})
    assert (line["revenue_value"], line["revenue_type"]) == (2.5, "cpc")
    assert (await api.put("line-item", world["line-item"], {"revenue_value": "3"}))["revenue_value"] == 3


@pytest.mark.parametrize(
    ("service", "owner", "fields", "path"),
    [
        ("payment-rule", "publisher", {"name": "R"}, "revshare"),
        ("payment-rule", "publisher", {"name": "R", "pricing_type": "cpm"}, "cost_cpm"),
        ("payment-rule", "publisher", {"name": "R", "revshare": 1.5}, "revshare"),
        ("payment-rule", "publisher", {"name": "R", "revshare": "NaN"}, "revshare"),
        ("payment-rule", "publisher", {"name": "R", "revshare": 0, "start_date": "2026-02-30 00:00:00"}, "start_date"),
        ("line-item", "advertiser", {"name": "L", "code": "not allowed"}, "code"),
        ("line-item", "advertiser", {"name": "L", "revenue_value": -1}, "revenue_value"),
        ("line-item", "advertiser", {"name": "L", "revenue_value": True}, "revenue_value"),
        ("line-item", "advertiser", {"name": "L", "revenue_value": 10**12}, "revenue_value"),
        ("line-item", "advertiser", {"name": "L", "timezone": "Asia/Kolkata"}, "timezone"),
        ("line-item", "advertiser", {"name": "L", "currency": "XYZ1"}, "currency"),
        ("placement", "publisher", {"name": "P", "site_id": 999999}, "site_id"),
        ("site", "publisher", {"name": "S", "supply_type": "radio"}, "supply_type"),
    ],
)
async def test_refused_fields(api: Harness, service: str, owner: str, fields: Json, path: str) -> None:
    world = await api.world()
    before = (await api.call("GET", service))["count"]
    response = await api.call("POST", service, {service: fields}, **{f"{owner}_id": world[owner]})
    assert response["error"].startswith(f"{path}: ")
    assert (await api.call("GET", service))["count"] == before


@ENGINES
async def test_codes_are_unique_ignoring_case(api: Harness) -> None:
    one, two = await api.world(), await api.world()
    await api.put("line-item", one["line-item"], {"code": "XYZ"})
    await api.put("line-item", two["line-item"], {"code": "xyz"})
    refused = await api.call(
        "POST", "line-item", {"line-item": {"name": "L", "code": "xYz"}}, advertiser_id=one["advertiser"]
    )
    assert (refused["error_id"], refused["error"].split(":")[0]) == ("INTEGRITY", "code")
    found = await api.call("GET", "line-item", code="Xyz", advertiser_id=one["advertiser"])
    assert found["line-item"]["id"] == one["line-item"]
    assert (await api.put("line-item", one["line-item"], {"code": "XYZ"}))["code"] == "XYZ"


async def test_placement_named_by_site_and_site_of_another_publisher(api: Harness) -> None:
    one, two = await api.world(), await api.world()
    made = await api.create("placement", {"name": "P"}, site_id=one["site"])
    assert (made["publisher_id"], made["site_id"]) == (one["publisher"], one["site"])
    refused = await api.call("PUT", "placement", {"placement": {"site_id": two["site"]}}, id=made["id"])
    assert refused["error_id"] == "INTEGRITY"


async def test_member_reads_and_updates_its_settings(api: Harness) -> None:
    member = (await api.call("GET", "member"))["member"]
    assert (member["id"], member["enable_click_and_imp_trackers"], member["redirect_policy"]) == (1, True, "approved")
    changed = await api.put(
        "member",
        1,
        {"redirect_policy": "any", "redirect_domains": ["EXAMPLE.com.", "bücher.example", "example.com"]},
    )
    assert changed["redirect_domains"] == ["example.com", "xn--bcher-kva.example"]
    assert changed["redirect_policy"] == "any"
    ignored = await api.put("member", 1, {"enable_click_and_imp_trackers": False, "state": "inactive"})
    assert (ignored["enable_click_and_imp_trackers"], ignored["state"]) == (True, "active")


@pytest.mark.parametrize(
    "value",
    [
        "",
        "com",
        "https://example.com",
        "example.com/x",
        "example.com:80",
        "u@example.com",
        "a b.com",
        " example.com",
        "*.example.com",
        "example..com",
        "exam%70le.com",
        "example.com\\",
        "[::1]",
        "x" * 300 + ".com",
        "a\x00.com",
        5,
        None,
    ],
)
async def test_bad_redirect_domains(api: Harness, value: Any) -> None:
    refused = await api.call("PUT", "member", {"member": {"redirect_domains": ["good.example", value]}}, id=1)
    assert refused["error"].startswith("redirect_domains.1: ")


@ENGINES
async def test_user_current_new_users_and_password_rules(api: Harness) -> None:
    answer = await api.send("GET", "/user?current")
    user = answer.json()["response"]["user"]
    assert (user["username"], user["user_type"], user["entity_id"]) == ("admin", "member", 1)
    assert not {"password", "password_hash"} & user.keys()
    made = await api.create("user", {"username": "Trafficker", "password": "Long-enough-1", "first_name": "T"})
    client = await api.login("trafficker", "Long-enough-1")
    assert (await client.call("GET", "user", current=1))["user"]["id"] == made["id"]
    weak = await api.call("POST", "user", {"user": {"username": "w", "password": "weak"}})
    assert weak["error"].startswith("password: ")
    taken = await api.call("POST", "user", {"user": {"username": "ADMIN", "password": "Long-enough-1"}})
    assert taken["error"] == "username: already taken"
    await api.put("user", made["id"], {"state": "inactive"})
    assert (await client.call("GET", "member"))["error_id"] == "NOAUTH"
    sent = {"auth": {"username": "trafficker", "password": "Long-enough-1"}}
    assert (await api.call("POST", "auth", sent))["error_id"] == "NOAUTH_DISABLED"


@ENGINES
async def test_routes_with_ids_of_another_member(api: Harness) -> None:
    other = await api.second_member(admin=True)
    world = await api.world()
    own = await other.world()
    ids = {**world}
    for service in ("imptracker", "clicktracker"):
        ids[service] = (await api.tracker(service, world))["id"]
    for service, row_id in ids.items():
        missing = f"{service} id not found: "
        for method, sent in (("GET", None), ("PUT", {service: {"name": "stolen"}}), ("DELETE", None)):
            stolen = await other.call(method, service, sent, id=row_id)
            absent = await other.call(method, service, sent, id=999999)
            assert stolen["error"] == f"{missing}{row_id}"
            for response in (stolen, absent):
                del response["error"], response["dbg_info"]
            assert stolen == absent, (service, method)
        listed = await other.call("GET", service, id=f"{row_id},{row_id}")
        assert listed["count"] == 0
    for service in ("imptracker", "clicktracker"):
        for field, target in (("publisher", "publisher"), ("line_item", "line-item"), ("tag", "placement")):
            links: Json = {"publisher": {"id": own["publisher"]}, "line_item": {"id": own["line-item"]}}
            linked: Json = {service: {"name": "x", **links, field: {"id": world[target]}}}
            refused = await other.call("POST", service, linked, advertiser_id=own["advertiser"])
            assert refused["error"] == f"{field}.id: {target} id not found: {world[target]}"
    for service, owner in (("line-item", "advertiser"), ("site", "publisher"), ("payment-rule", "publisher")):
        refused = await other.call("POST", service, {service: {"name": "x"}}, **{f"{owner}_id": world[owner]})
        assert f"{owner} id not found: {world[owner]}" in refused["error"]
    for service, row_id in (("member", 1), ("user", 1)):
        assert "id not found" in (await other.call("GET", service, id=row_id))["error"]
        assert "id not found" in (await other.call("PUT", service, {service: {"name": "x"}}, id=row_id))["error"]
    for service, row_id in ids.items():
        assert (await api.get(service, row_id))["member_id"] == 1


@ENGINES
async def test_concurrent_writers_get_consecutive_versions(api: Harness) -> None:
    world = await api.world()
    await asyncio.gather(*(api.tracker("imptracker", world, name=f"T{number}") for number in range(20)))
    async with api.store.connect() as connection:
        rows = (await connection.exec_driver_sql("SELECT version FROM outbox ORDER BY version")).scalars().all()
        version = (await connection.exec_driver_sql("SELECT version FROM store_state")).scalar_one()
    assert list(rows) == list(range(1, version + 1))
    assert len(rows) == 21


async def test_remaining_fields_of_publishers_children(api: Harness) -> None:
    world = await api.world()
    site = await api.get("site", world["site"])
    assert (site["creative_format_action"], site["creative_formats"]) == ("exclude", ["text"])
    assert (site["allowed_click_actions"], site["marketplace_map"]["rtb"]) == (["click-to-web"], False)
    opened = await api.put(
        "site", world["site"], {"marketplace_map": {"rtb": "true"}, "content_categories": [{"id": 1}]}
    )
    assert (opened["marketplace_map"]["rtb"], opened["content_categories"]) == (True, [{"id": 1}])
    placement = await api.get("placement", world["placement"])
    assert (placement["demand_filter_action"], placement["filtered_line_items"]) == ("default", None)
    rule = await api.get("payment-rule", world["payment-rule"])
    assert (rule["lifetime_budget"], rule["daily_budget_imps"], rule["target_ecpm"]) == (None, None, None)
    fields = {"name": "D", "pricing_type": "dynamic", "revshare": 0.3, "max_revshare": 0.5}
    assert (await api.create("payment-rule", fields, publisher_id=world["publisher"]))["max_revshare"] == 0.5
    publisher = await api.get("publisher", world["publisher"])
    assert publisher["default_placement_id"] == world["placement"]
    named = await api.put("publisher", world["publisher"], {"contact": {"name": "N"}})
    again = await api.put("publisher", world["publisher"], {"contact": {"name": "M"}})
    assert named["contact"]["id"] == again["contact"]["id"] > 0


@pytest.mark.parametrize(
    ("service", "fields", "path"),
    [
        ("publisher", {"inventory_source": "other"}, "inventory_source_name"),
        ("publisher", {"inventory_relationship": "indirect_single_publisher"}, "inventory_source_name"),
        ("placement", {"code": "a b"}, "code"),
        ("placement", {"code2": "ü"}, "code2"),
        ("payment-rule", {"max_revshare": 0.5}, "max_revshare"),
        ("payment-rule", {"pricing_type": "dynamic", "revshare": 0.5, "max_revshare": 0.2}, "max_revshare"),
        ("site", {"creative_format_action": "maybe"}, "creative_format_action"),
    ],
)
async def test_rules_of_publishers_and_their_children(api: Harness, service: str, fields: Json, path: str) -> None:
    world = await api.world()
    response = await api.call("PUT", service, {service: fields}, id=world[service])
    assert response["error"].startswith(f"{path}: ")
