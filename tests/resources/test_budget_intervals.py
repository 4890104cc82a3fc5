"""Edits of budget intervals, alike for insertion orders and line items, and of other arrays whose elements have ids."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.api_harness import Harness, Json

pytestmark = pytest.mark.anyio
ENGINES = pytest.mark.parametrize("store_url", ["sqlite", "postgresql"], indirect=True)
SERVICES = pytest.mark.parametrize("service", ["insertion-order", "line-item"])
FLIGHTS = [
    {"start_date": "2026-01-01 00:00:00", "end_date": "2026-01-31 23:59:59", "lifetime_budget": 40, "code": "one"},
    {"start_date": "2026-02-01 00:00:00", "end_date": "2026-02-28 23:59:59", "lifetime_budget": 50},
    {"start_date": "2026-03-01 00:00:00", "end_date": "2026-03-31 23:59:59", "daily_budget_imps": 7},
]


async def make(api: Harness, service: str) -> Json:
    advertiser = await api.create("advertiser", {"name": "A", "use_insertion_orders": True})
    fields = {"name": "X", "budget_type": "revenue", "budget_intervals": FLIGHTS[:2]}
    if service == "line-item":
        fields = {"name": "X", "budget_intervals": FLIGHTS}
    return await api.create(service, fields, advertiser_id=advertiser["id"])


async def edit(api: Harness, service: str, made: Json, intervals: Any, **query: object) -> Any:
    found = await api.put(service, made["id"], {"budget_intervals": intervals}, **query)
    assert await api.get(service, made["id"]) == found
    return found["budget_intervals"]


@ENGINES
@SERVICES
async def test_documented_edit_of_one_interval(api: Harness, service: str) -> None:
    made = await make(api, service)
    first, *others = made["budget_intervals"]
    changed = await edit(api, service, made, [{"id": first["id"], "lifetime_budget": 100}])
    assert changed == [{**first, "lifetime_budget": 100}, *others]
    as_text = await edit(api, service, made, {"id": str(first["id"]), "end_date": "2026-01-30 23:59:59"})
    assert as_text == [{**first, "lifetime_budget": 100, "end_date": "2026-01-30 23:59:59"}, *others]


@SERVICES
async def test_intervals_that_are_not_sent_stay(api: Harness, service: str) -> None:
    made = await make(api, service)
    *others, last = made["budget_intervals"]
    later = {"start_date": "2026-06-01 00:00:00", "end_date": None}
    kept = await edit(api, service, made, [{"id": last["id"], "code": "last"}, later])
    assert kept[:-1] == [*others, {**last, "code": "last"}]
    assert (kept[-1]["start_date"], kept[-1]["end_date"]) == tuple(later.values())
    assert kept[-1]["id"] > last["id"]
    assert await edit(api, service, made, kept) == kept


@ENGINES
@SERVICES
async def test_null_dates_delete_an_interval(api: Harness, service: str) -> None:
    made = await make(api, service)
    first, second, *others = made["budget_intervals"]
    gone = {"id": first["id"], "start_date": None, "end_date": None}
    assert await edit(api, service, made, [gone]) == [second, *others]
    refused = await api.call("PUT", service, {service: {"budget_intervals": [gone]}}, id=made["id"])
    assert (refused["error_id"], refused["error"].split(":")[0]) == ("INTEGRITY", "budget_intervals.0.id")
    only_end = await edit(api, service, made, [{"id": (others or [second])[-1]["id"], "end_date": None}])
    assert only_end[-1]["end_date"] is None
    every = [{"id": row["id"], "start_date": None, "end_date": None} for row in only_end]
    assert await edit(api, service, made, every, append="true") is None


@SERVICES
async def test_intervals_without_ids_replace_all(api: Harness, service: str) -> None:
    made = await make(api, service)
    flight = {"start_date": "2027-01-01 00:00:00", "end_date": "2027-01-31 23:59:59"}
    (only,) = await edit(api, service, made, [flight])
    assert only["start_date"] == flight["start_date"]
    assert only["id"] not in [row["id"] for row in made["budget_intervals"]]
    (same,) = await edit(api, service, made, [{"end_date": "2027-02-28 23:59:59"}])
    assert same == {**only, "end_date": "2027-02-28 23:59:59"}, "the only one is changed"
    both = await edit(api, service, made, [{**flight, "start_date": "2027-06-01 00:00:00", "end_date": None}], append=1)
    assert [row["start_date"] for row in both] == [only["start_date"], "2027-06-01 00:00:00"]
    assert await edit(api, service, made, None) is None


@SERVICES
@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"start_date": None}, "start_date"),
        ({"start_date": "2026-01-10 00:00:00"}, "budget_intervals"),
        ({"start_date": "2026-02-10 00:30:00"}, "start_date"),
        ({"end_date": "2026-02-01 00:30:00"}, "end_date"),
        ({"lifetime_budget": None, "lifetime_pacing": True}, "lifetime_pacing"),
        ({"lifetime_budget": "x"}, "lifetime_budget"),
        ({"id": 999999}, "id"),
        ({"id": "x"}, "id"),
        ({"id": 999999, "start_date": None, "end_date": None}, "id"),
    ],
)
async def test_refused_edits_change_nothing(api: Harness, service: str, change: Json, fault: str) -> None:
    made = await make(api, service)
    before = await api.get(service, made["id"])
    sent = {"id": made["budget_intervals"][1]["id"], **change}
    refused = await api.call("PUT", service, {service: {"budget_intervals": [sent]}}, id=made["id"])
    assert refused["status"] == "error"
    assert refused["error"].split(":")[0] in (fault, f"budget_intervals.0.{fault}"), (
        "as it was sent, not as it is stored"
    )
    assert await api.get(service, made["id"]) == before


@pytest.mark.parametrize(
    ("service", "name", "elements", "change", "changed"),
    [
        ("advertiser", "labels", [{"id": 1, "value": "a"}, {"id": 3, "value": "b"}], {"id": "3"}, {"value": "b"}),
        ("publisher", "labels", [{"id": 2, "value": "a"}, {"id": 4, "value": "b"}], {"id": 4}, {"value": "b"}),
        ("line-item", "labels", [{"id": 7, "value": "a"}], {"id": 7}, {"value": "a"}),
        ("line-item", "pixels", [{"id": 3, "state": "inactive"}, {"id": 4}], {"id": 3}, {"state": "inactive"}),
        ("line-item", "creatives", [{"id": 5}, {"code": "c", "weight": 3}], {"code": "c"}, {"weight": 3}),
    ],
)
async def test_elements_with_an_id_keep_what_is_not_sent(
    api: Harness, service: str, name: str, elements: list[Json], change: Json, changed: Json
) -> None:
    world = await api.world()
    more = {"creative_distribution_type": "weighted"} if name == "creatives" else {}
    await api.put(service, world[service], {name: elements, **more})
    (found,) = (await api.put(service, world[service], {name: [change]}))[name]
    assert {**found, **changed} == found


async def test_contact_of_a_publisher_is_changed_by_field(api: Harness) -> None:
    world = await api.world()
    made = await api.put("publisher", world["publisher"], {"contact": {"name": "N", "phone": "1"}})
    found = await api.put("publisher", world["publisher"], {"contact": {"phone": "2"}})
    assert found["contact"] == {**made["contact"], "phone": "2"}
