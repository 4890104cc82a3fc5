"""Who sees and changes what of the member: the operator, its admins, its other users and those with a limit."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from typer.testing import CliRunner

from onebyone.cli import app
from tests.support import api_harness
from tests.support.api_harness import PASSWORD, Client, Harness, Json

pytestmark = pytest.mark.anyio


async def user(api: Harness, name: str, **columns: object) -> Client:
    await api.create("user", {"username": name, "password": PASSWORD, **columns})
    return await api.login(name, PASSWORD)


async def test_only_an_admin_changes_the_member(api: Harness) -> None:
    world = await api.world()
    await api.put("member", 1, {"redirect_domains": ["landing.example"]})
    before = await api.get("member", 1)
    callers = [
        await user(api, "plain"),
        await user(api, "reader", read_only=True),
        await user(api, "buyer", user_type="advertiser", advertiser_id=world["advertiser"]),
        await user(api, "seller", user_type="publisher", publisher_id=world["publisher"]),
    ]
    for client in callers:
        changes: list[Json] = [{"redirect_policy": "any"}, {"redirect_domains": []}, {"name": "Mine"}, {}]
        for fields in changes:
            refused = await client.call("PUT", "member", {"member": fields}, id=1)
            assert refused["error_id"] == "UNAUTH"
        assert (await client.call("GET", "member"))["status"] == "OK"
    assert await api.get("member", 1) == before


async def test_limited_users_do_not_see_whom_the_member_works_with(api: Harness) -> None:
    world = await api.world()
    await api.put("member", 1, {"redirect_domains": ["landing.example"]})
    await api.create("thirdparty-pixel", {"content": "x()", "members": [{"id": 1}]})
    limited = await user(api, "buyer", user_type="advertiser", advertiser_id=world["advertiser"])
    for query in ({}, {"id": 1}, {"fields": "redirect_domains,thirdparty_pixels"}):
        member = (await limited.call("GET", "member", **query))["member"]
        assert (member["redirect_domains"], member["thirdparty_pixels"]) == ([], None)
    plain = await user(api, "plain")
    member = (await plain.call("GET", "member"))["member"]
    assert (member["redirect_domains"], len(member["thirdparty_pixels"])) == (["landing.example"], 1)


@pytest.mark.parametrize("name", ["enable_click_and_imp_trackers", "state"])
async def test_what_only_the_operator_changes_causes_a_warning(api: Harness, name: str) -> None:
    before = await api.get("member", 1)
    same = await api.call("PUT", "member", {"member": {name: before[name]}}, id=1)
    assert same["dbg_info"]["warnings"] == []
    for value in (False, "inactive", None):
        response = await api.call("PUT", "member", {"member": {name: value}}, id=1)
        assert response["dbg_info"]["warnings"] == [f"read-only field not used: member.{name}"]
        assert response["member"][name] == before[name]


async def test_a_member_without_the_right_creates_no_trackers(api: Harness) -> None:
    other = await api.second_member(trackers=False)
    world = await other.world()
    assert (await other.call("GET", "member"))["member"]["enable_click_and_imp_trackers"] is False
    for service in ("imptracker", "clicktracker"):
        links = {"publisher": {"id": world["publisher"]}, "line_item": {"id": world["line-item"]}}
        body = {service: {"name": "T", **links}}
        refused = await other.call("POST", service, body, advertiser_id=world["advertiser"])
        assert (refused["error_id"], refused["error_description"]) == (
            "UNAUTH",
            "enable_click_and_imp_trackers of the member is false",
        )


def test_the_operator_allows_and_forbids_trackers(tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path / 'config.sqlite3'}"
    asyncio.run(api_harness.prepare(url))

    def run(*arguments: str) -> str:
        result = CliRunner().invoke(app, ["member", *arguments], env={"ONEBYONE_DATABASE_URL": url})
        return result.output + result.stderr

    async def create_tracker() -> str:
        api = await api_harness.start(url)
        try:
            world = await api.world()
            body = {"name": "T", "publisher": {"id": world["publisher"]}, "line_item": {"id": world["line-item"]}}
            response = await api.call("POST", "imptracker", {"imptracker": body}, advertiser_id=world["advertiser"])
            return str(response.get("error_id", response["status"]))
        finally:
            await api.http.aclose()
            await api.store.dispose()

    assert asyncio.run(create_tracker()) == "OK"
    assert run("forbid-trackers", "1") == ""
    assert asyncio.run(create_tracker()) == "UNAUTH"
    assert run("allow-trackers", "1") == ""
    assert asyncio.run(create_tracker()) == "OK"
    assert run("allow-trackers", "9").startswith("onebyone: no member 9")
