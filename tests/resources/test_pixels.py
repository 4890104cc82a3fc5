"""`thirdparty-pixel`: the document's samples, the fields that each format requires, ownership and audits."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.api_harness import PASSWORD, Client, Harness, Json

pytestmark = pytest.mark.anyio
ENGINES = pytest.mark.parametrize("store_url", ["sqlite", "postgresql"], indirect=True)
SERVICE = "thirdparty-pixel"
SCRIPT: Json = {"content": 'var img = new Image(); img.src="https://url.com/event/js?self=" + data;'}


async def trafficker(api: Harness) -> Client:
    """Log in a user of the member who is no admin."""
    await api.create("user", {"username": "t", "password": PASSWORD})
    return await api.login("t", PASSWORD)


@ENGINES
async def test_post_matches_the_sample(api: Harness) -> None:
    made = await api.create(SERVICE, {"format": "url-html", "secure_url": "https://secureurl.com"})
    assert made == {
        "id": made["id"],
        "active": True,
        "name": None,
        "member_id": 1,
        "advertiser_id": None,
        "publisher_id": None,
        "format": "url-html",
        "audit_status": "pending",
        "created_on": made["created_on"],
        "last_modified": made["created_on"],
        "content": None,
        "secure_content": None,
        "url": None,
        "secure_url": "https://secureurl.com",
        "members": None,
        "advertisers": None,
        "publishers": None,
        "creatives": None,
        "supply_exceptions": None,
        "adservers": None,
    }
    put_back = await api.put(SERVICE, made["id"], made)
    assert {**put_back, "last_modified": 0} == {**made, "last_modified": 0}
    assert (await api.call("GET", SERVICE))["thirdparty-pixels"] == [put_back]
    assert (await api.delete(SERVICE, made["id"]))["status"] == "OK"


@ENGINES
async def test_pixels_appear_on_advertisers_and_member(api: Harness) -> None:
    one, two = await api.world(), await api.world()
    owned = await api.create(SERVICE, {**SCRIPT, "name": "Owned", "advertiser_id": one["advertiser"]})
    found = await api.put(SERVICE, owned["id"], {"advertisers": [{"id": one["advertiser"]}]})
    assert found["advertisers"] == [{"id": one["advertiser"]}]
    refused = await api.call("PUT", SERVICE, {SERVICE: {"advertisers": [{"id": two["advertiser"]}]}}, id=owned["id"])
    assert refused["error"].startswith("advertisers.0.id: only the owning advertiser")
    both = [{"id": two["advertiser"]}, {"id": one["advertiser"]}]
    more = {"supply_exceptions": [{"name": "AdX"}], "adservers": [{"id": 11}, {"id": "12"}]}
    shared = await api.create(SERVICE, {**SCRIPT, **more, "advertisers": both, "members": [{"id": 1}]})
    assert (shared["advertisers"], shared["members"]) == (both, [{"id": 1}])
    assert shared["adservers"] == [{"id": 11}, {"id": 12}]
    brief = [
        {"id": pixel["id"], "name": pixel["name"], "active": True, "audit_status": "pending"}
        for pixel in (owned, shared)
    ]
    assert (await api.get("advertiser", one["advertiser"]))["thirdparty_pixels"] == brief
    assert (await api.get("advertiser", two["advertiser"]))["thirdparty_pixels"] == brief[1:]
    assert (await api.call("GET", "member"))["member"]["thirdparty_pixels"] == brief[1:]
    await api.delete("advertiser", one["advertiser"])
    left = (await api.call("GET", SERVICE))["thirdparty-pixels"]
    assert [(pixel["id"], pixel["advertisers"]) for pixel in left] == [(shared["id"], both[:1])]


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({}, "content"),
        ({"url": "https://a.example/"}, "content"),
        *(({"format": kind}, "url") for kind in ("url-html", "url-js", "url-image", "raw-url")),
        ({"format": "url-image", "content": "x"}, "url"),
        ({"format": "gif", **SCRIPT}, "format"),
        ({"format": "url-image", "url": "javascript:alert(1)"}, "url"),
        ({"format": "url-image", "secure_url": "http://a.example/"}, "secure_url"),
        ({**SCRIPT, "members": [{"id": 2}]}, "members.0.id"),
        ({**SCRIPT, "member_id": 2}, "member_id"),
        ({**SCRIPT, "advertisers": [{"id": 999}]}, "advertisers.0.id"),
        ({**SCRIPT, "advertiser_id": 999}, "advertiser_id"),
        ({**SCRIPT, "supply_exceptions": [{"name": "Other"}]}, "supply_exceptions.0.name"),
        ({**SCRIPT, "active": "maybe"}, "active"),
        ({**SCRIPT, "audit_status": "unaudited"}, "audit_status"),
        ({**SCRIPT, "name": "x" * 256}, "name"),
    ],
)
async def test_refused_pixels(api: Harness, fields: Json, path: str) -> None:
    response = await api.call("POST", SERVICE, {SERVICE: fields})
    assert response["error"].startswith(f"{path}: ")
    assert (await api.call("GET", SERVICE))["count"] == 0


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"content": "other"}, "format"),
        ({"format": "raw-js", "content": "other"}, None),
        ({"format": "url-image", "url": "http://a.example/${CACHEBUSTER}"}, None),
        ({"name": "N", "active": False}, None),
    ],
)
async def test_changing_content_requires_the_format(api: Harness, fields: Json, fault: str | None) -> None:
    made = await api.create(SERVICE, SCRIPT)
    response = await api.call("PUT", SERVICE, {SERVICE: fields}, id=made["id"])
    assert response.get("error", ":").split(":")[0] == (fault or "")


@ENGINES
@pytest.mark.parametrize("status", ["approved", "rejected", "exempt"])
async def test_only_admins_change_the_audit_status(api: Harness, status: str) -> None:
    user = await trafficker(api)
    made = await user.create(SERVICE, {**SCRIPT, "audit_status": status})
    assert made["audit_status"] == "pending"
    assert (await user.put(SERVICE, made["id"], {"audit_status": status}))["audit_status"] == "pending"
    assert (await api.put(SERVICE, made["id"], {"audit_status": status}))["audit_status"] == status
    assert (await user.put(SERVICE, made["id"], {"name": "N"}))["audit_status"] == status
    changed: Any = {"format": "raw-js", "content": "other"}
    again = await user.put(SERVICE, made["id"], changed)
    assert again["audit_status"] == ("exempt" if status == "exempt" else "pending")


async def test_pixel_owner_is_immutable(api: Harness) -> None:
    one, two = await api.world(), await api.world()
    owned = await api.create(SERVICE, {**SCRIPT, "advertiser_id": one["advertiser"]})
    for other in (two["advertiser"], None):
        refused = await api.call("PUT", SERVICE, {SERVICE: {"advertiser_id": other}}, id=owned["id"])
        assert refused["error"] == "advertiser_id: cannot be changed"
