"""Objects of limited users name nobody of the other side, in any answer, and show none of its money."""

from __future__ import annotations

import json
from typing import Any

import pytest

from onebyone.resources.entities import ENTITIES
from tests.reports.report_harness import ReportHarness, epoch_ms
from tests.support.api_harness import PASSWORD, Client, Harness, Json

pytestmark = pytest.mark.anyio
SIDES = {
    "advertiser": ("advertiser", "insertion-order", "line-item"),
    "publisher": ("publisher", "site", "placement", "payment-rule"),
}
TRACKERS = ("imptracker", "clicktracker")
READS: tuple[Json, ...] = (
    {},
    {"flight_info": "true", "all_status": "true", "include_insertion_order_id": "true", "object_stats": "true"},
    {"sort": "id.desc", "num_elements": 1},
)


async def named_world(api: Harness) -> Json:
    """Create a world whose names and codes begin with `SECRET-` and their side; return its ids."""
    world = await api.world()
    await api.put("advertiser", world["advertiser"], {"use_insertion_orders": True})
    order = await api.create("insertion-order", {"name": "O"}, advertiser_id=world["advertiser"])
    world["insertion-order"] = order["id"]
    for side, services in SIDES.items():
        for service in services:
            text = f"SECRET-{side}-{service}"
            await api.put(service, world[service], {"name": text, "code": text})
    await api.put("line-item", world["line-item"], {"insertion_orders": [{"id": order["id"]}]})
    links = {"tag": {"id": world["placement"]}, "payment_rule": {"id": world["payment-rule"]}}
    for service in TRACKERS:
        world[service] = (await api.tracker(service, world, **links))["id"]
    pixel = {"content": "x", "name": "SECRET-member", "members": [{"id": 1}]}
    await api.create("thirdparty-pixel", pixel)
    return world


async def limited_user(api: Harness, kind: str, owner: int) -> Client:
    await api.create("user", {"username": kind, "password": PASSWORD, "user_type": kind, f"{kind}_id": owner})
    return await api.login(kind, PASSWORD)


@pytest.mark.parametrize("kind", SIDES)
async def test_no_answer_names_the_other_side(api: Harness, kind: str) -> None:
    world = await named_world(api)
    client = await limited_user(api, kind, world[kind])
    other = "publisher" if kind == "advertiser" else "advertiser"
    own = (*SIDES[kind], *(TRACKERS if kind == "advertiser" else ()))
    answers: list[tuple[str, Any]] = []
    for entity in ENTITIES:
        service = entity.service
        for query in READS:
            answers.append((f"GET {service} {query}", await client.call("GET", service, **query)))
            if service in world:
                answers.append((f"GET {service} id", await client.call("GET", service, id=world[service], **query)))
        if service in world:
            change = {service: {"code": f"c-{service}"}}
            answers.append((f"PUT {service}", await client.call("PUT", service, change, id=world[service])))
        answers.append((f"POST {service}", await client.call("POST", service, {service: {"name": "x"}})))
        answers.append((f"meta {service}", await client.call("GET", f"{service}/meta")))
    answers += [("lookup", await client.call("GET", "lookup"))]
    for object_type in ("advertiser", "publisher", "line_item", "insertion_order"):
        query = {"show_values": "true", "object_type": object_type}
        answers.append((f"label {object_type}", await client.call("GET", "label", **query)))
    for service in world:
        answers.append((f"DELETE {service}", await client.call("DELETE", service, id=world[service])))
    for request, answer in answers:
        assert f"SECRET-{other}" not in json.dumps(answer), request
        assert "SECRET-member" not in json.dumps(answer), request
    seen = "".join(json.dumps(answer) for _, answer in answers)
    for service in (name for name in own if name in SIDES[kind]):
        assert f"SECRET-{kind}-{service}" in seen, "the own side stays visible"


async def test_a_tracker_keeps_the_ids_and_takes_its_own_answer(api: Harness) -> None:
    world = await named_world(api)
    client = await limited_user(api, "advertiser", world["advertiser"])
    for service in TRACKERS:
        tracker = await client.get(service, world[service])
        assert tracker["publisher"] == {"id": world["publisher"], "name": None}
        assert tracker["tag"] == {"id": world["placement"], "name": None}
        assert tracker["payment_rule"] == {"id": world["payment-rule"], "name": None}
        assert tracker["line_item"] == {"id": world["line-item"], "name": "SECRET-advertiser-line-item"}
        (listed,) = (await client.call("GET", service))[f"{service}s"]
        assert listed == tracker
        answer = await client.call("PUT", service, {service: tracker}, id=world[service])
        assert answer["status"] == "OK"
        assert answer["dbg_info"]["warnings"] == []
        assert {**answer[service], "last_modified": ""} == {**tracker, "last_modified": ""}
        assert (await api.get(service, world[service]))["publisher"]["name"] == "SECRET-publisher-publisher"
        assert "publisher" not in (await client.call("GET", service, id=world[service], fields="id"))[service]
        created = {"name": "N", "publisher": {"id": world["publisher"]}, "line_item": {"id": world["line-item"]}}
        new = await client.create(service, created, advertiser_id=world["advertiser"])
        assert new["publisher"]["name"] is None


async def test_stats_of_a_line_item_hide_cost_and_profit(api: Harness) -> None:
    world = await named_world(api)
    client = await limited_user(api, "advertiser", world["advertiser"])
    await ReportHarness(api).record({"line_item_id": world["line-item"], "ts": epoch_ms("2026-01-05 10:00:00")})
    query = {"id": world["line-item"], "all_status": "true"}
    whole = (await api.call("GET", "line-item", **query))["line-item"]["all_stats"]
    stats = (await client.call("GET", "line-item", **query))["line-item"]["all_stats"]
    assert stats[-1]["imps"] == 1
    assert stats == [{**element, "media_cost": None, "profit": None} for element in whole]
    assert all(None not in element.values() for element in whole)


@pytest.mark.parametrize("kind", SIDES)
async def test_codes_of_others_are_as_unknown_as_codes_of_nobody(api: Harness, kind: str) -> None:
    world = await named_world(api)
    foreign = await api.world()
    for services in SIDES.values():
        for service in services:
            if service in foreign:
                await api.put(service, foreign[service], {"code": f"foreign-{service}"})
    client = await limited_user(api, kind, world[kind])
    other = "publisher" if kind == "advertiser" else "advertiser"
    hidden = [(service, f"SECRET-{other}-{service}") for service in SIDES[other]]
    hidden += [(service, f"foreign-{service}") for service in (*SIDES["advertiser"], *SIDES["publisher"])]
    own = (*SIDES[kind], *(TRACKERS if kind == "advertiser" else ()))

    async def answers(service: str, parameter: str, code: str) -> list[str]:
        """Return what each kind of request says of a code, without the code itself and what differs every time."""
        texts = []
        for method in ("GET", "POST", "PUT", "DELETE"):
            query = {parameter: code}
            if method in ("PUT", "DELETE") and parameter != "code":
                query["id"] = "999"
            answer = await client.call(method, service, {service: {"name": "x"}}, **query)
            answer.pop("dbg_info")
            texts.append(json.dumps(answer).replace(code, "CODE"))
        return texts

    for service in own:
        for owner, code in hidden:
            parameter = f"{owner.replace('-', '_')}_code"
            assert await answers(service, parameter, code) == await answers(service, parameter, "nobody"), (
                service,
                code,
            )
            if owner == service and service != kind:
                assert await answers(service, "code", code) == await answers(service, "code", "nobody"), code
    (service, code) = SIDES[kind][-1], f"SECRET-{kind}-{kind}"
    assert (await client.call("GET", service, **{f"{kind}_code": code}))["count"] >= 1, "own codes still work"
