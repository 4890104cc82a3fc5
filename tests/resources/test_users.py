"""Users and tenants: logins, limited and read-only users, and every route with ids of another member."""

from __future__ import annotations

import time
from typing import Any

import pytest

from onebyone.api.http.methods import entity_methods
from onebyone.config_store import tables
from onebyone.reports import report_request
from onebyone.reports.report_request import ReportRequest
from onebyone.resources.entities import ENTITIES
from onebyone.runtime import sql
from tests.support.api_harness import PASSWORD, Client, Harness, Json

pytestmark = pytest.mark.anyio
ENGINES = pytest.mark.parametrize("store_url", ["sqlite", "postgresql"], indirect=True)
BY_SERVICE = {entity.service: entity for entity in ENTITIES}
OF_ADVERTISER = ("advertiser", "insertion-order", "line-item", "imptracker", "clicktracker", "thirdparty-pixel")
OF_PUBLISHER = ("publisher", "site", "placement", "payment-rule")


async def full_world(client: Client) -> Json:
    """Create an object of every service that lets a member create one."""
    world = await client.world()
    await client.put("advertiser", world["advertiser"], {"use_insertion_orders": True})
    order = await client.create("insertion-order", {"name": "O"}, advertiser_id=world["advertiser"])
    fields = {"content": "x", "advertiser_id": world["advertiser"], "name": "P"}
    world |= {
        "insertion-order": order["id"],
        "thirdparty-pixel": (await client.create("thirdparty-pixel", fields))["id"],
    }
    for service in ("imptracker", "clicktracker"):
        world[service] = (await client.tracker(service, world))["id"]
    return world


async def user(api: Harness, name: str, **fields: Any) -> Client:
    """Create a user of member 1."""
    await api.create("user", {"username": name, "password": PASSWORD, **fields})
    return await api.login(name, PASSWORD)


@ENGINES
async def test_every_route_and_method_with_ids_of_another_member(api: Harness) -> None:
    """Compare every response for another member's id with that for an id that nobody has."""
    theirs = await full_world(api)
    theirs |= {"member": 1, "user": 1}
    other = await api.second_member(admin=True)
    own = await full_world(other)
    walked = 0
    for service, entity in BY_SERVICE.items():
        row_id = theirs[service]
        for method in ("GET", "PUT", "DELETE"):
            if method not in entity_methods(entity):
                continue
            body = {service: {"name": "stolen"}} if method == "PUT" else None
            stolen = await other.call(method, service, body, id=row_id)
            absent = await other.call(method, service, body, id=999999)
            assert stolen.pop("error") == f"{service} id not found: {row_id}"
            absent.pop("error")
            for answer in (stolen, absent):
                answer.pop("dbg_info")
            assert stolen == absent
            walked += 1
        listed = await other.call("GET", service, id=f"{row_id},999999")
        assert (listed["count"], listed[entity.plural]) == (0, [])
        for link in entity.links:
            target = theirs[link.service]
            assert (await other.call("GET", service, **{link.column: target}))["count"] == 0
            if link is entity.parent:
                refused = await other.call("POST", service, {service: {"name": "x"}}, **{link.column: target})
            else:
                value: Any = {"id": target} if link.nested else target
                refused = await other.call("PUT", service, {service: {link.field: value}}, id=own[service])
            assert refused["status"] == "error", (service, link.field)
            walked += 2
    print(f"{walked} requests for what belongs to another member")
    assert walked > 60
    for service, row_id in theirs.items():
        if service not in ("member", "user"):
            assert (await api.get(service, row_id))["member_id"] == 1


@ENGINES
@pytest.mark.parametrize("kind", ["advertiser", "publisher"])
async def test_limited_users(api: Harness, kind: str) -> None:
    mine, foreign = await full_world(api), await full_world(api)
    limited = await user(api, "limited", user_type=kind, **{f"{kind}_id": mine[kind]})
    seen = OF_ADVERTISER if kind == "advertiser" else OF_PUBLISHER
    for service in (*OF_ADVERTISER, *OF_PUBLISHER):
        listed = await limited.call("GET", service)
        if service not in seen:
            for method, query in (("GET", {"id": mine[service]}), ("PUT", {"id": mine[service]}), ("POST", {})):
                answer = await limited.call(method, service, {service: {"name": "x"}}, **query)
                assert answer["error_id"] == "UNAUTH", (service, method)
            continue
        assert mine[service] in [found["id"] for found in listed[BY_SERVICE[service].plural]]
        assert foreign[service] not in [found["id"] for found in listed[BY_SERVICE[service].plural]]
        assert (await limited.get(service, mine[service]))["id"] == mine[service]
        for method in ("GET", "PUT", "DELETE"):
            answer = await limited.call(method, service, {service: {"name": "x"}}, id=foreign[service])
            assert "not found" in answer["error"] or answer["error_id"] == "UNAUTH", (service, method)
        parent = BY_SERVICE[service].parent
        if parent is not None:
            fields = {"name": "x", "revshare": 0}
            answer = await limited.call("POST", service, {service: fields}, **{f"{kind}_id": foreign[kind]})
            assert "not found" in answer["error"]
    change = await limited.put(
        "line-item" if kind == "advertiser" else "site",
        mine["line-item" if kind == "advertiser" else "site"],
        {"name": "Changed"},
    )
    assert change["name"] == "Changed"
    for method in ("POST", "DELETE"):
        answer = await limited.call(method, kind, {kind: {"name": "x"}}, id=mine[kind])
        assert answer["error_id"] == "UNAUTH"
    assert (await limited.call("GET", "user"))["count"] == 1
    own = (await limited.call("GET", "user", current=1))["user"]
    assert (own["user_type"], own[f"{kind}_id"]) == (kind, mine[kind])
    raised = await limited.call("PUT", "user", {"user": {"user_type": "member", f"{kind}_id": None}}, id=own["id"])
    assert raised["error_id"] == "UNAUTH"
    assert (await limited.call("PUT", "member", {"member": {"redirect_policy": "any"}}, id=1))["error_id"] == "UNAUTH"
    assert (await limited.call("GET", "object-limit"))["error_id"] == "UNAUTH"


async def test_reports_of_limited_users(api: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    mine, foreign = await api.world(), await api.world()
    limited = await user(api, "limited", user_type="advertiser", advertiser_id=mine["advertiser"])
    parsed: list[ReportRequest] = []
    parse = report_request.parse_report_request

    def spy(*arguments: Any) -> ReportRequest:
        parsed.append(parse(*arguments))
        return parsed[-1]

    monkeypatch.setattr(report_request, "parse_report_request", spy)
    wanted: Json = {"report_type": "network_analytics", "columns": ["imps"], "report_interval": "today"}
    made = await limited.call("POST", "report", {"report": wanted}, advertiser_id=foreign["advertiser"])
    assert parsed[0].filters == {"advertiser_id": (mine["advertiser"],)}
    assert (await limited.call("GET", "report", id=made["report_id"]))["status"] == "OK"
    twice = {**wanted, "filters": [{"advertiser_id": foreign["advertiser"]}]}
    assert "given twice" in (await limited.call("POST", "report", {"report": twice}))["error"]
    whole = await api.call("POST", "report", {"report": wanted})
    assert "not found" in (await limited.call("GET", "report", id=whole["report_id"]))["error"]
    day = time.strftime("%Y-%m-%d", time.gmtime())
    feed = {"report_type": "clicktrackers", "columns": ["tracker_id"], "start_date": day, "end_date": f"{day} 01:00:00"}
    assert (await limited.call("POST", "report", {"report": feed}))["error_id"] == "UNAUTH"
    for client, report in ((limited, made), (api, whole)):
        assert (await client.send("GET", f"/report-download?id={report['report_id']}")).status_code != 404


async def test_read_only_users(api: Harness) -> None:
    world = await full_world(api)
    reader = await user(api, "reader", read_only=True)
    for service, row_id in world.items():
        if service not in BY_SERVICE:
            continue
        assert (await reader.get(service, row_id))["id"] == row_id
        for method in ("POST", "PUT", "DELETE"):
            answer = await reader.call(method, service, {service: {"name": "x"}}, id=row_id)
            assert (answer["error_id"], answer["error"]) == ("UNAUTH", "the user is read-only")


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"user_type": "admin"}, "user_type"),
        ({"user_type": "advertiser"}, "advertiser_id"),
        ({"user_type": "publisher", "publisher_id": 999}, "publisher_id"),
        ({"advertiser_id": 1}, "advertiser_id"),
        *(
            ({"password": password}, "password")
            for password in (
                "Short-1a",
                "x" * 61 + "A-1b",
                "nouppercase-1",
                "NOLOWERCASE-1",
                "No-digits-here",
                "NoSpecial123",
            )
        ),
    ],
)
async def test_refused_users(api: Harness, fields: Json, path: str) -> None:
    response = await api.call("POST", "user", {"user": {"username": "u", "password": PASSWORD, **fields}})
    assert response["error"].startswith(f"{path}: ")


@ENGINES
async def test_disabled_members_and_expired_passwords(api: Harness) -> None:
    sent = {"auth": {"username": "admin", "password": PASSWORD}}
    object.__setattr__(api.context.settings, "password_days", 30)
    api.clock.ahead_ms = 31 * 24 * 3_600_000
    assert (await api.call("POST", "auth", sent))["error_id"] == "NOAUTH_EXPIRED"
    api.clock.ahead_ms = 0
    await api.put("user", 1, {"password": PASSWORD + "x", "old_password": PASSWORD})
    assert (await api.call("GET", "member"))["error_id"] == "NOAUTH", "a new password ends the sessions"
    async with sql.writing(api.store) as connection:
        await connection.execute(tables.member.update().values(state="inactive"))
    sent["auth"]["password"] += "x"
    assert (await api.call("POST", "auth", sent))["error_id"] == "NOAUTH_DISABLED"


async def test_switch_to_user(api: Harness) -> None:
    stranger = await api.second_member()
    stranger_id = (await stranger.call("GET", "user", current=1))["user"]["id"]
    other = await user(api, "colleague")
    other_id = (await other.call("GET", "user", current=1))["user"]["id"]
    answer = await api.call("POST", "auth", {"auth": {"switch_to_user": other_id}})
    switched = Client(api.http, answer["token"])
    api.http.cookies.clear()
    assert (await switched.call("GET", "user", current=1))["user"]["id"] == other_id
    for client, wanted, error_id in (
        (other, 1, "UNAUTH"),
        (switched, 1, "UNAUTH"),
        (api, 999, "SYNTAX"),
        (api, stranger_id, "SYNTAX"),
        (api, "x", "SYNTAX"),
        (api, True, "SYNTAX"),
        (Client(api.http, "nobody"), 1, "NOAUTH"),
    ):
        assert (await client.call("POST", "auth", {"auth": {"switch_to_user": wanted}}))["error_id"] == error_id
