"""Ids and codes of owners, and dates, at the edges of what a number, a text or a calendar can hold."""

from __future__ import annotations

import pytest

from tests.support.api_harness import Harness, Json

pytestmark = pytest.mark.anyio
ENGINES = pytest.mark.parametrize("store_url", ["sqlite", "postgresql"], indirect=True)
NO_IDS = ("9" * 30, "9" * 5000, "0" * 20 + "9" * 30, "0" * 5000, "x", "5.0", "9223372036854775808")
BY_CODE = {"code": "LC"}


@pytest.fixture
async def world(api: Harness) -> Json:
    """Create objects, of which the line item has a code."""
    world = await api.world()
    await api.put("line-item", world["line-item"], BY_CODE)
    return world


@ENGINES
async def test_an_owner_that_is_no_id_is_refused_by_name(api: Harness, world: Json) -> None:
    body = {"line-item": {"name": "L"}}
    for text in NO_IDS:
        for method, service, sent in (
            ("GET", "imptracker", {"line_item_code": "LC", "advertiser_id": text}),
            ("GET", "line-item", {**BY_CODE, "advertiser_id": text}),
        ):
            refused = await api.call(method, service, sent)
            assert (refused["error_id"], refused["error"].split(":")[0]) == ("SYNTAX", "advertiser_id"), (text, refused)
        for method, query in (
            ("POST", {}),
            ("PUT", BY_CODE),
            ("DELETE", BY_CODE),
            ("PUT", {"id": world["line-item"]}),
            ("DELETE", {"id": world["line-item"]}),
        ):
            refused = await api.call(method, "line-item", body, **query, advertiser_id=text)
            assert refused["error"].startswith("advertiser_id: not an id"), (method, text, refused)
        for service, field in (("line-item", "advertiser_id"), ("placement", "site_id"), ("site", "publisher_id")):
            refused = await api.call("POST", service, {service: {"name": "N", field: text}})
            assert f"{field}: not an id" in refused["error"], refused
    assert (await api.get("line-item", world["line-item"]))["name"] == "Test Line Item"


@ENGINES
async def test_many_ids_of_owners_are_refused(api: Harness, world: Json) -> None:
    refused = await api.call("GET", "imptracker", {"line_item_code": "LC", "advertiser_id": list(range(40_000))})
    assert refused["error"] == "advertiser_id: at most 1000 values"


@ENGINES
async def test_no_owner_has_a_code_with_a_nul(api: Harness, world: Json) -> None:
    refused = await api.call("POST", "line-item", {"line-item": {"name": "L", "advertiser_code": "a\x00b"}})
    assert (refused["error_id"], refused["error_code"]) == ("SYNTAX", "NOTFOUND_ADVERTISER")


async def test_every_owner_that_a_write_names_must_be_that_of_the_object(api: Harness, world: Json) -> None:
    placement = {"id": world["placement"]}
    other = await api.create("site", {"name": "S", "code": "OTHER"}, publisher_id=world["publisher"])
    for owner in ({"site_id": other["id"]}, {"site_code": "OTHER"}, {"publisher_id": other["id"] + 99}):
        for method in ("PUT", "DELETE"):
            refused = await api.call(method, "placement", {"placement": {"name": "N"}}, **placement, **owner)
            assert refused["error_code"] == "NOTFOUND_PLACEMENT", (method, owner)
    for owner in ({"site_id": world["site"]}, {"site_id": f"0{world['site']}"}, {"publisher_id": world["publisher"]}):
        written = await api.call("PUT", "placement", {"placement": {"name": "N"}}, **placement, **owner)
        assert written["status"] == "OK", owner


async def test_a_field_that_cannot_move_an_object_causes_a_warning(api: Harness, world: Json) -> None:
    line_item, advertiser = world["line-item"], world["advertiser"]
    sent = {"line-item": {"id": 99, "advertiser_id": advertiser + 7}}
    written = await api.call("PUT", "line-item", sent, id=line_item)
    assert written["line-item"]["advertiser_id"] == advertiser
    assert written["dbg_info"]["warnings"] == [
        f"line-item.id: not used, the object keeps {line_item}",
        f"line-item.advertiser_id: not used, the object keeps {advertiser}",
    ]
    for service in ("line-item", "placement", "payment-rule", "site", "advertiser", "publisher"):
        found = await api.get(service, world[service])
        written = await api.call("PUT", service, {service: found}, id=world[service])
        assert written["dbg_info"]["warnings"] == [], service


@pytest.mark.parametrize(
    ("zone", "date"),
    [
        ("Asia/Tokyo", "9999-12-31T23:59:59Z"),
        ("EST5EDT", "0001-01-01T00:00:00Z"),
        ("EST5EDT", "0001-01-01T00:00:00+14"),
    ],
)
async def test_a_date_that_no_calendar_holds_is_refused(api: Harness, world: Json, zone: str, date: str) -> None:
    fields = {"timezone": zone, "start_date": date, "budget_intervals": [{"start_date": date}]}
    refused = await api.call("PUT", "line-item", {"line-item": fields}, id=world["line-item"])
    assert refused["error_id"] == "SYNTAX"
    assert [fault.split(":")[0] for fault in refused["error"].split("; ")] == [
        "start_date",
        "budget_intervals.0.start_date",
    ]


@pytest.mark.parametrize("zone", ["EST5EDT", "Asia/Tokyo"])
async def test_an_interval_may_reach_from_the_first_date_to_the_last(api: Harness, zone: str) -> None:
    fields = {"name": "A", "use_insertion_orders": True, "timezone": zone}
    owner = {"advertiser_id": (await api.create("advertiser", fields))["id"]}
    ever = {"budget_intervals": [{"start_date": "0001-01-01 00:00:00", "end_date": "9999-12-31 23:59:59"}]}
    order = await api.create("insertion-order", {"name": "O", **ever}, **owner)
    line_item = await api.create("line-item", {"name": "L", "insertion_orders": [{"id": order["id"]}], **ever}, **owner)
    assert line_item["budget_intervals"][0]["end_date"] == "9999-12-31 23:59:59"
