"""An object inside an object may come in an array of one, as some samples of the documents have it."""

from __future__ import annotations

from typing import Any

import pytest

from onebyone.resources.entities import ENTITIES
from onebyone.resources.field_shapes import field_shape
from tests.resources.guaranteed import guaranteed
from tests.support.api_harness import Harness, Json

pytestmark = pytest.mark.anyio

SAMPLES: dict[str, tuple[Json, Json]] = {
    "line-item.supply_strategies": ({"rtb": True, "managed": False}, {}),
    "line-item.flat_fee": (
        {"flat_fee_allocation_date": "2026-01-01 00:00:00"},
        {"revenue_type": "flat_fee", "revenue_value": 1},
    ),
    "line-item.auction_event": ({"revenue_auction_event_type": "view"}, {}),
    "line-item.roadblock": (
        {"type": "partial_roadblock", "master_width": 1, "master_height": 2},
        {"supply_strategies": [{"managed": True}]},
    ),
    "line-item.budget_scheduling_settings": ({"underspend_catchup_type": "evenly"}, {}),
    "insertion-order.political_content": ({"organization_name": "N"}, {"is_running_political_ads": True}),
    "publisher.contact": ({"name": "N"}, {}),
    "site.marketplace_map": ({"rtb": True}, {}),
    "site.mobile_app_instance": ({"id": 5}, {}),
}
LINKS = {f"{entity.service}.{link.field}" for entity in ENTITIES for link in entity.references if link.nested}
GUARANTEED = {"line-item.delivery_goal"}


def test_every_object_has_a_sample() -> None:
    objects = {
        f"{entity.service}.{name}"
        for entity in ENTITIES
        for name, field in entity.body.model_fields.items()
        if field_shape(field).word == "object"
    }
    assert objects == SAMPLES.keys() | LINKS | GUARANTEED


@pytest.mark.parametrize("path", SAMPLES)
async def test_an_object_in_an_array(api: Harness, path: str) -> None:
    service, _, field = path.partition(".")
    value, more = SAMPLES[path]
    world = await api.world()
    await api.put("advertiser", world["advertiser"], {"use_insertion_orders": True, "is_running_political_ads": True})
    of_advertiser = {"advertiser_id": world["advertiser"]}
    owners: Json = {
        "line-item": of_advertiser,
        "insertion-order": of_advertiser,
        "site": {"publisher_id": world["publisher"]},
    }
    owner = owners.get(service, {})
    plain = await api.create(service, {"name": "N", **more, field: value}, **owner)
    response = await api.call("POST", service, {service: {"name": "N", **more, field: [value]}}, **owner)
    assert response["status"] == "OK", response
    made: dict[str, Any] = response[service]
    assert {name: made[field][name] for name in value} == {name: plain[field][name] for name in value}
    assert response["dbg_info"]["warnings"] == []
    assert (await api.put(service, made["id"], {field: [value]}))[field] == made[field]
    for wrong in ([value, value], [[value]], ["managed"], [5]):
        refused = await api.call("PUT", service, {service: {field: wrong}}, id=made["id"])
        assert refused["error"].startswith(field), wrong


async def test_an_update_in_an_array_changes_field_by_field(api: Harness) -> None:
    world = await api.world()
    await api.put("line-item", world["line-item"], {"supply_strategies": {"rtb": True, "deals": True}})
    changed = await api.put("line-item", world["line-item"], {"supply_strategies": [{"rtb": False}]})
    expected = {"managed": False, "rtb": False, "deals": True, "programmatic_guaranteed": False}
    assert changed["supply_strategies"] == expected


async def test_parts_of_guaranteed_delivery_in_arrays(api: Harness, order: Json) -> None:
    fields = guaranteed(order)
    arrays = {name: [fields[name]] for name in ("delivery_goal",)}
    made = await api.create("line-item", {**fields, **arrays}, advertiser_id=order["advertiser_id"])
    assert made["delivery_goal"]["type"] == "impressions"
