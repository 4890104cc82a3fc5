"""Requests in the forms in which public clients of the original send them."""

from __future__ import annotations

from urllib.parse import quote

import httpx
import pytest

from onebyone.resources.entities import ENTITIES
from onebyone.resources.entity import Entity
from onebyone.resources.owners import owner_parameters
from tests.support.api_harness import PASSWORD, Harness, Json, response_of

pytestmark = pytest.mark.anyio
ENGINES = pytest.mark.parametrize("store_url", ["sqlite", "postgresql"], indirect=True)
OWNED = [entity for entity in ENTITIES if entity.parent is not None]
CODED = [entity for entity in ENTITIES if "code_key" in entity.table.c]


def service_of(entity: Entity) -> str:
    return entity.service


def not_used(response: Json) -> list[str]:
    """Return the warnings of fields and parameters that were not used."""
    return [warning for warning in response["dbg_info"]["warnings"] if "not used" in warning]


async def owners_of(api: Harness) -> Json:
    """Create one owner of each kind with a code, and return a body for a new object of each service."""
    world = await api.world()
    for service in ("advertiser", "publisher", "site"):
        await api.put(service, world[service], {"code": f"{service}-code"})
    await api.put("advertiser", world["advertiser"], {"use_insertion_orders": True})
    tracker = {"publisher": {"id": world["publisher"]}, "line_item": {"id": world["line-item"]}}
    more: Json = {"payment-rule": {"revshare": 0}, "imptracker": tracker, "clicktracker": tracker}
    return {"ids": world, "bodies": {one.service: {"name": "N", **more.get(one.service, {})} for one in ENTITIES}}


@pytest.mark.parametrize("encoded", ["hbapi%3A{}", "hbapi%3a{}", " hbapi%3A{} "])
async def test_token_as_the_cookie_holds_it(api: Harness, encoded: str) -> None:
    rest = api.token.removeprefix("hbapi:")
    value = encoded.format(quote(rest, safe=""))
    answer = await api.http.get("/member", headers={"Authorization": value})
    assert response_of(answer)["status"] == "OK"
    assert "set-cookie" not in answer.headers
    out = await api.http.delete("/auth", headers={"Authorization": value})
    assert response_of(out)["status"] == "OK"
    assert (await api.send("GET", "/member")).status_code == 401


@pytest.mark.parametrize("method", ["get", "Get", "post", "put", "delete", "head"])
async def test_verbs_in_any_case(api: Harness, method: str) -> None:
    made = await api.create("advertiser", {"name": "A"})
    url, body = f"http://api.test/advertiser?id={made['id']}", {"advertiser": {"name": "B"}}
    request = httpx.Request(method, url, json=body)
    request.method = method
    request.headers["Authorization"] = api.token
    answer = await api.http.send(request)
    if method != "head":
        assert response_of(answer)["status"] == "OK"
    usage = (await api.call("GET", "member"))["dbg_info"]
    assert usage["writes"] == 1 + (method in ("post", "put", "delete")), "a write counts as one in any case"


async def test_a_lower_case_verb_meets_the_cookie_rule(api: Harness) -> None:
    request = httpx.Request("POST", "http://api.test/advertiser", json={"advertiser": {"name": "A"}})
    request.method = "post"
    request.headers["Cookie"] = f"HBFAPI_SESSID={quote(api.token, safe='')}"
    request.headers["Origin"] = "http://evil.example"
    assert response_of(await api.http.send(request))["error_id"] == "UNAUTH"


@pytest.mark.parametrize("entity", OWNED, ids=service_of)
async def test_the_owner_is_named_in_the_object_alone(api: Harness, entity: Entity) -> None:
    ready = await owners_of(api)
    body = ready["bodies"][entity.service]
    parent = entity.parent
    assert parent is not None
    for name in owner_parameters(entity):
        kind = name.rpartition("_")[0]
        value = ready["ids"][kind] if name.endswith("_id") else f"{kind}-code"
        for sent in (value, str(value)):
            in_object = await api.call("POST", entity.service, {entity.service: {**body, name: sent}})
            assert in_object["status"] == "OK", (name, in_object)
            assert not_used(in_object) == []
            assert in_object[entity.service][parent.column] == ready["ids"][parent.service]
        beside = await api.call("POST", entity.service, {entity.service: body, name: value})
        assert beside[entity.service][parent.column] == ready["ids"][parent.service], name
        assert not_used(beside) == []
    missing = await api.call("POST", entity.service, {entity.service: body})
    assert missing["error"] == f"{parent.column}: required in the query string or in the object"


@pytest.mark.parametrize("value", ["x", "", -1, 0, 10**30, True, [1], {"id": 1}, 1.5])
async def test_an_owner_in_the_object_is_checked_as_in_the_query_string(api: Harness, value: object) -> None:
    await api.world()
    refused = await api.call("POST", "placement", {"placement": {"name": "N", "publisher_id": value}})
    assert refused["error_id"] == "SYNTAX"
    assert refused["error"].startswith("publisher_id: ")


async def test_an_owner_of_another_member_stays_unknown(api: Harness) -> None:
    other = await api.second_member()
    theirs = await other.world()
    refused = await api.call("POST", "placement", {"placement": {"name": "N", "publisher_id": theirs["publisher"]}})
    assert refused["error"] == f"publisher_id: publisher id not found: {theirs['publisher']}"


async def test_the_query_string_names_the_owner_first(api: Harness) -> None:
    one, two = await api.world(), await api.world()
    body = {"placement": {"name": "N", "publisher_id": two["publisher"]}}
    made = await api.call("POST", "placement", body, publisher_id=one["publisher"])
    assert made["placement"]["publisher_id"] == one["publisher"]
    assert made["dbg_info"]["warnings"] == [f"placement.publisher_id: not used, the request names {one['publisher']}"]
    crossed = {"publisher_id": one["publisher"], "site_id": two["site"]}
    refused = await api.call("POST", "placement", {"placement": {"name": "N"}}, **crossed)
    assert refused["error"] == f"site_id: site {two['site']} does not belong to publisher {one['publisher']}"
    within = await api.create("placement", {"name": "N"}, site_id=two["site"], publisher_id=two["publisher"])
    assert (within["site_id"], within["publisher_id"]) == (two["site"], two["publisher"])


@pytest.mark.parametrize("entity", CODED, ids=service_of)
async def test_an_object_by_the_name_of_its_service(api: Harness, entity: Entity) -> None:
    ready = await owners_of(api)
    service, name = entity.service, entity.service.replace("-", "_")
    owner = {} if entity.parent is None else {entity.parent.column: ready["ids"][entity.parent.service]}
    made = await api.create(service, {**ready["bodies"][service], "code": "Mine"}, **owner)
    for query in ({f"{name}_id": made["id"]}, {f"{name}_code": "mine"}):
        put = await api.call("PUT", service, {service: {"name": "Renamed"}}, **query)
        assert (put["status"], not_used(put)) == ("OK", []), query
        assert put[service]["id"] == made["id"]
    found = await api.call("GET", service, None, **{f"{name}_id": made["id"]})
    assert (found[service]["name"], found["dbg_info"]["warnings"]) == ("Renamed", [])
    in_object = await api.call("PUT", service, {service: {"id": str(made["id"]), "name": "Again"}})
    assert in_object[service]["name"] == "Again"
    other = await api.call("PUT", service, {service: {"id": 10**9, "name": "Third"}}, id=made["id"])
    assert (other[service]["id"], other[service]["name"]) == (made["id"], "Third")
    assert (await api.call("DELETE", service, None, **{f"{name}_id": made["id"]}))["count"] == 1
    gone = await api.call("GET", service, None, **{f"{name}_id": made["id"]})
    assert gone["error_code"] == f"NOTFOUND_{name.upper()}"


@ENGINES
@pytest.mark.parametrize("entity", CODED, ids=service_of)
async def test_read_by_code(api: Harness, entity: Entity) -> None:
    ready = await owners_of(api)
    service = entity.service
    owner = {} if entity.parent is None else {entity.parent.column: ready["ids"][entity.parent.service]}
    made = await api.create(service, {**ready["bodies"][service], "code": "Mine"}, **owner)
    found = await api.call("GET", service, code="mine", fields="id,code")
    unknown = await api.call("GET", service, code="theirs")
    empty = await api.call("GET", service, code="")
    several = await api.call("GET", service, code="mine,theirs")
    assert [one["id"] for one in several[entity.plural]] == [made["id"]]
    if entity.code_owner is None:
        assert (found[entity.plural], found["count"]) == ([{"id": made["id"], "code": "Mine"}], 1)
        assert (unknown["status"], unknown[entity.plural], empty[entity.plural]) == ("OK", [], [])
        return
    by_id = await api.call("GET", service, id=made["id"], fields="id,code")
    assert {**found, "dbg_info": 0} == {**by_id, "dbg_info": 0}
    assert found["dbg_info"]["output_term"] == service
    assert (unknown["error_id"], unknown["error"]) == ("SYNTAX", f"{service} code not found: theirs")
    assert unknown["error_code"] == f"NOTFOUND_{service.replace('-', '_').upper()}"
    assert empty["error"] == f"{service} code not found: "
    filtered = await api.call("GET", service, code="mine", state="inactive")
    assert filtered["error"] == f"{service} code not found: mine"
    in_body = response_of(await api.send("GET", f"/{service}", json={"code": "MINE"}))
    assert in_body[service]["id"] == made["id"]


async def test_one_code_of_several_owners_is_a_list(api: Harness) -> None:
    worlds = [await api.world(), await api.world()]
    for world, code in zip(worlds, ("adv-1", "adv-2"), strict=True):
        await api.put("advertiser", world["advertiser"], {"code": code})
        await api.put("line-item", world["line-item"], {"code": "Same"})
    listed = await api.call("GET", "line-item", code="same")
    assert [line["id"] for line in listed["line-items"]] == [world["line-item"] for world in worlds]
    one = await api.call("GET", "line-item", code="same", advertiser_code="ADV-2")
    assert one["line-item"]["id"] == worlds[1]["line-item"]
    assert (await api.call("GET", "line-item", code="same", advertiser_code="nobody"))["error_id"] == "SYNTAX"


async def test_a_code_that_a_limited_user_does_not_see_is_unknown(api: Harness) -> None:
    own = await api.create("advertiser", {"name": "Own", "code": "own"})
    await api.create("advertiser", {"name": "Other", "code": "other"})
    user = {"username": "u", "password": PASSWORD, "user_type": "advertiser", "advertiser_id": own["id"]}
    await api.create("user", user)
    limited = await api.login("u", PASSWORD)
    assert (await limited.call("GET", "advertiser", code="OWN"))["advertiser"]["id"] == own["id"]
    assert (await limited.call("GET", "advertiser", code="other"))["error"] == "advertiser code not found: other"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_parameters_of_writes_without_a_meaning_are_named(api: Harness, method: str) -> None:
    made = await api.create("publisher", {"name": "P"})
    query = {"id": made["id"], "member_id": 1, "foo": "bar", "sort": "id", "create_default_placement": "true"}
    response = await api.call(method, "publisher", {"publisher": {"name": "Q"}}, **query)
    unused = {"POST": ["id", "foo", "sort"]}.get(method, ["foo", "sort", "create_default_placement"])
    assert response["dbg_info"]["warnings"] == [f"query parameter not used: {name}" for name in unused]
