"""Parameters beside those that name an object: each has its effect, or causes a warning."""

from __future__ import annotations

import pytest

from tests.support.api_harness import Harness

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("path", ["/member?", "/member?id=1&", "/member?member_id=1&", "/user?current&", "/user?id=1&"])
async def test_the_own_object_takes_parameters_as_any_other(api: Harness, path: str) -> None:
    service = path[1:].partition("?")[0]
    for query in ("fields=id", "fields=id&start_element=7"):
        found = (await api.send("GET", f"{path}{query}")).json()["response"]
        assert found[service] == {"id": 1}
        assert found["dbg_info"]["warnings"] == []
    found = (await api.send("GET", f"{path}foo=1&fields=id")).json()["response"]
    assert found["dbg_info"]["warnings"] == ["query parameter not used: foo"]
    body = {service: {"timezone": "UTC"}}
    written = (await api.send("PUT", f"{path}foo=1", json=body)).json()["response"]
    assert written["dbg_info"]["warnings"] == ["query parameter not used: foo"]


async def test_a_body_of_a_get_with_an_object_in_it(api: Harness) -> None:
    sent = {"filter": {"id": 1}, "fields": ["id"], "sort": None, "line-item": {}}
    found = await api.call("GET", "advertiser", sent)
    assert found["dbg_info"]["warnings"] == [f"query parameter not used: {name}" for name in ("filter", "line-item")]


async def test_the_member_of_another_name_does_not_exist(api: Harness) -> None:
    await api.second_member()
    for method in ("GET", "PUT"):
        refused = await api.call(method, "member", {"member": {"timezone": "CET"}}, member_id=2)
        assert refused["error_code"] == "NOTFOUND_MEMBER", method
    assert (await api.get("member", 1))["timezone"] != "CET"


async def test_current_is_the_caller_whatever_id_is_beside_it(api: Harness) -> None:
    await api.second_member()
    assert (await api.call("GET", "user", current="true", id=2))["user"]["id"] == 1


async def test_a_page_that_begins_later_does_not_hide_a_lone_code(api: Harness) -> None:
    made = await api.create("advertiser", {"name": "A", "code": "A1"})
    for start in (0, 1, 500):
        found = await api.call("GET", "advertiser", code="a1", start_element=start, fields="id")
        assert found["advertiser"] == {"id": made["id"]}
        assert (found["count"], found["dbg_info"]["warnings"]) == (1, [])


@pytest.mark.parametrize(
    ("service", "used", "unused"),
    [
        ("currency", {"show_rate": 1}, {"object_type": "x", "show_values": 1}),
        ("adserver", {}, {"object_type": "x", "show_values": 1, "show_rate": 1}),
        ("label", {"object_type": "line_item", "show_values": 1}, {"show_rate": 1}),
    ],
)
async def test_parameters_of_other_lists(api: Harness, service: str, used: dict, unused: dict) -> None:  # type: ignore[type-arg]
    found = await api.call("GET", service, **used)
    read = await api.call("GET", service, **used, **unused)
    assert read["count"] == found["count"] > 0
    assert read["dbg_info"]["warnings"] == [f"query parameter not used: {name}" for name in unused]
