"""Insertion orders: the document's sample, one row per rule, and what they mean for line items and trackers."""

from __future__ import annotations

import pytest

from onebyone.contracts import keys
from onebyone.contracts.configuration import TrackerRecord
from onebyone.publishing import records
from tests.resources.guaranteed import END, START, create, guaranteed, seamless
from tests.support.api_harness import Harness, Json

pytestmark = pytest.mark.anyio
ENGINES = pytest.mark.parametrize("store_url", ["sqlite", "postgresql"], indirect=True)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"budget_type": "revenue"}, "budget_type"),
        ({"budget_intervals": None}, "seamless"),
        (
            {
                "budget_intervals": [
                    {"start_date": START, "end_date": END},
                    {"start_date": "2020-11-01 00:00:00", "end_date": None},
                ]
            },
            "exactly one budget interval",
        ),
        ({"budget_intervals": [{"start_date": START, "lifetime_budget_imps": 5}]}, "unlimited"),
    ],
)
async def test_unsuitable_insertion_orders(api: Harness, order: Json, fields: Json, text: str) -> None:
    other = await api.create("insertion-order", seamless(**fields), advertiser_id=order["advertiser_id"])
    body = {"line-item": guaranteed(other)}
    response = await api.call("POST", "line-item", body, advertiser_id=order["advertiser_id"])
    assert response["error_id"] == "INTEGRITY"
    assert response["error"].startswith("insertion_orders.0.id: ")
    assert text in response["error"]
    line = await create(api, order)
    assert line["insertion_orders"][0]["id"] == order["id"]
    changed_order = await api.call("PUT", "insertion-order", {"insertion-order": fields}, id=order["id"])
    assert changed_order["error_id"] == "INTEGRITY", "an order keeps suiting the line items that it has"


@ENGINES
async def test_intervals_are_compared_in_their_own_time_zones(api: Harness, order: Json) -> None:
    interval = {"start_date": START, "end_date": END}
    eastern = await api.create(
        "insertion-order",
        seamless(timezone="EST5EDT", budget_intervals=[interval]),
        advertiser_id=order["advertiser_id"],
    )
    body = {"line-item": guaranteed(eastern)}
    refused = await api.call("POST", "line-item", body, advertiser_id=order["advertiser_id"])
    assert refused["error"] == "budget_intervals: must lie within a budget interval of the insertion order"
    assert (await create(api, eastern, timezone="EST5EDT"))["timezone"] == "EST5EDT"


@ENGINES
async def test_insertion_order_matches_the_sample(api: Harness, order: Json) -> None:
    (interval,) = order["budget_intervals"]
    assert interval == {
        "id": interval["id"],
        "object_id": order["id"],
        "object_type": "insertion_order",
        "start_date": START,
        "end_date": None,
        "timezone": "UTC",
        "code": None,
        "lifetime_budget": None,
        "lifetime_budget_imps": None,
        "daily_budget_imps": None,
        "daily_budget": None,
        "enable_pacing": False,
        "lifetime_pacing": False,
        "lifetime_pacing_pct": None,
    }
    assert (order["currency"], order["viewability_standard_provider"], order["line_items"]) == ("USD", "iab", None)
    line = await create(api, order, code="Same")
    found = await api.put("insertion-order", order["id"], {"code": "same"})
    assert found["line_items"] == [
        {
            "id": line["id"],
            "line_item_type": "standard_v2",
            "name": "Test-GDALI",
            "code": "Same",
            "state": "inactive",
            "start_date": None,
            "end_date": None,
            "timezone": "UTC",
        }
    ]
    put_back = await api.put("insertion-order", order["id"], found)
    assert {**put_back, "last_modified": 0} == {**found, "last_modified": 0}
    refused = await api.delete("insertion-order", order["id"])
    assert refused["error_id"] == "INTEGRITY"
    await api.delete("line-item", line["id"])
    assert (await api.delete("insertion-order", order["id"]))["status"] == "OK"


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"currency": "EUR"}, "currency: cannot be changed"),
        ({"budget_type": "weekly"}, "budget_type"),
        ({"start_date": START}, "start_date: must be null beside budget_intervals"),
        ({"lifetime_budget": 5}, "lifetime_budget: must be null beside budget_intervals"),
        ({"budget_intervals": [{"start_date": START, "daily_budget": 5}]}, "budget_intervals.0.daily_budget"),
        (
            {"budget_intervals": [{"start_date": START}, {"start_date": "2020-11-01 00:00:00"}]},
            "budget_intervals: must not overlap",
        ),
        (
            {
                "budget_intervals": [
                    {
                        "start_date": f"20{21 + number:02d}-01-01 00:00:00",
                        "end_date": f"20{21 + number:02d}-02-01 00:59:59",
                    }
                    for number in range(53)
                ]
            },
            "budget_intervals",
        ),
    ],
)
async def test_refused_fields_of_insertion_orders(api: Harness, order: Json, fields: Json, fault: str) -> None:
    response = await api.call("PUT", "insertion-order", {"insertion-order": fields}, id=order["id"])
    assert response["error"].startswith(fault)
    assert await api.get("insertion-order", order["id"]) == order


async def test_insertion_order_requires_an_advertiser_that_uses_them(api: Harness) -> None:
    world = await api.world()
    body = {"insertion-order": seamless()}
    response = await api.call("POST", "insertion-order", body, advertiser_id=world["advertiser"])
    assert response["error"].startswith("advertiser_id: use_insertion_orders")


async def test_insertion_order_of_another_advertiser(api: Harness, order: Json) -> None:
    world = await api.world()
    line = {**guaranteed(order), "insertion_orders": [{"id": order["id"]}]}
    response = await api.call("POST", "line-item", {"line-item": line}, advertiser_id=world["advertiser"])
    assert (response["error_id"], response["error"].split(":")[0]) == ("INTEGRITY", "insertion_orders.0.id")


@ENGINES
async def test_trackers_use_the_first_active_order(api: Harness, order: Json) -> None:
    world = {**await api.world(), "advertiser": order["advertiser_id"]}
    second = await api.create("insertion-order", seamless(name="Second"), advertiser_id=order["advertiser_id"])
    line = await create(api, order, insertion_orders=[{"id": order["id"]}, {"id": second["id"]}])
    tracker = await api.tracker("imptracker", {**world, "line-item": line["id"]})
    name = keys.tracker_key("imp", tracker["id"])

    async def published() -> int:
        async with api.store.connect() as connection:
            text = (await records.load_records(connection, [name]))[name]
            last = await connection.exec_driver_sql("SELECT keys FROM outbox ORDER BY version DESC LIMIT 1")
            assert name in last.scalar_one()
        assert text is not None
        return TrackerRecord.decode(text).insertion_order_id

    assert await published() == order["id"]
    await api.put("insertion-order", order["id"], {"state": "inactive"})
    assert await published() == second["id"]
    await api.put("line-item", line["id"], {"insertion_orders": [{"id": order["id"]}]})
    assert await published() == 0
    shown = await api.call("GET", "line-item", id=line["id"], include_insertion_order_id="true")
    assert shown["line-item"]["insertion_order_id"] is None
    await api.delete("advertiser", order["advertiser_id"])
    assert (await api.call("GET", "insertion-order"))["count"] == 0
