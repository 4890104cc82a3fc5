"""`imptracker` and `clicktracker`: the documents' samples, a tracker from creation to deletion, and refused input."""

from __future__ import annotations

from typing import Any

import pytest

from onebyone.contracts.events import Kind
from onebyone.resources.tracker_tags import tracker_tags
from tests.support.api_harness import Harness, Json

pytestmark = pytest.mark.anyio
ENGINES = pytest.mark.parametrize("store_url", ["sqlite", "postgresql"], indirect=True)
TAGS_BASE = "https://tags.example.com"
KINDS: dict[str, Kind] = {"imptracker": "imp", "clicktracker": "clk"}
BOTH = pytest.mark.parametrize("service", ["imptracker", "clicktracker"])
_FIRST = ["id", "member_id", "advertiser_id", "name", "code", "state"]
_LAST = ["last_modified", "publisher", "tag", "payment_rule", "line_item", "tags"]
KEYS = {"imptracker": [*_FIRST, *_LAST], "clicktracker": [*_FIRST, "click_url", *_LAST]}


def body(service: str, world: Json, **fields: Any) -> Json:
    links = {"publisher": {"id": world["publisher"]}, "line_item": {"id": world["line-item"]}}
    return {service: {"name": "Test Tracker", **links, **fields}}


@ENGINES
@BOTH
async def test_post_matches_the_sample(api: Harness, service: str) -> None:
    world = await api.world()
    response = await api.call("POST", service, body(service, world), advertiser_id=world["advertiser"])
    assert list(response) == ["status", "count", "id", "start_element", "num_elements", service, "dbg_info"]
    assert (response["count"], response["start_element"], response["num_elements"]) == (1, 0, 100)
    tracker = response[service]
    assert response["id"] == tracker["id"]
    assert list(tracker) == KEYS[service]
    assert {**tracker, "last_modified": None} == {
        **dict.fromkeys(KEYS[service]),
        "id": tracker["id"],
        "member_id": 1,
        "advertiser_id": world["advertiser"],
        "name": "Test Tracker",
        "state": "active",
        "publisher": {"id": world["publisher"], "name": "November Publisher"},
        "line_item": {"id": world["line-item"], "name": "Test Line Item"},
        "tags": tracker_tags(KINDS[service], tracker["id"], TAGS_BASE),
    }
    assert response["dbg_info"]["output_term"] == service
    assert api.wakes.count > 0


@ENGINES
@BOTH
async def test_put_is_partial_and_echoes_the_id_as_text(api: Harness, service: str) -> None:
    world = await api.world()
    tracker = await api.tracker(service, world, name="Test Tracker", code="Abc")
    response = await api.call("PUT", service, {service: {"tag": {"id": world["placement"]}}}, id=tracker["id"])
    assert list(response) == ["status", "count", "id", "start_element", "num_elements", service, "dbg_info"]
    assert response["id"] == str(tracker["id"])
    changed = {**tracker, "tag": {"id": world["placement"], "name": "[November Publisher] - Default"}}
    assert {**response[service], "last_modified": 0} == {**changed, "last_modified": 0}


@ENGINES
@BOTH
async def test_get_one_and_list_shapes(api: Harness, service: str) -> None:
    world = await api.world()
    made = [await api.tracker(service, world, name=f"T{number}") for number in range(3)]
    one = await api.call("GET", service, id=made[0]["id"])
    assert list(one) == ["status", "start_element", "num_elements", service, "count", "dbg_info"]
    assert one[service] == made[0]
    plural = f"{service}s"
    listed = await api.call("GET", service, advertiser_id=world["advertiser"])
    assert list(listed) == ["status", "start_element", "num_elements", plural, "count", "dbg_info"]
    assert listed[plural] == made
    assert (listed["count"], listed["dbg_info"]["output_term"]) == (3, plural)
    several = await api.call("GET", service, id=f"{made[2]['id']},{made[0]['id']},999999")
    assert [tracker["id"] for tracker in several[plural]] == [made[0]["id"], made[2]["id"]]
    everything = await api.call("GET", service)
    assert everything["count"] == 3
    none = await api.call("GET", service, advertiser_id=999999)
    assert (none[plural], none["count"], none["status"]) == ([], 0, "OK")


@ENGINES
async def test_paging_sorting_and_filters(api: Harness) -> None:
    world = await api.world()
    for number in range(5):
        await api.tracker("imptracker", world, name=f"T{number}", state="inactive" if number % 2 else "active")

    async def names(**query: object) -> tuple[list[str], Json]:
        response = await api.call("GET", "imptracker", **query)
        return [tracker["name"] for tracker in response["imptrackers"]], response

    found, response = await names(start_element=1, num_elements=2)
    assert (found, response["count"]) == (["T1", "T2"], 5)
    assert (response["start_element"], response["num_elements"]) == (1, 2)
    found, response = await names(num_elements=5000)
    assert (len(found), response["num_elements"]) == (5, 100)
    assert (await names(start_element=50))[0] == []
    assert (await names(sort="name.desc", num_elements=2))[0] == ["T4", "T3"]
    assert (await names(sort="state.desc,id.desc"))[0] == ["T3", "T1", "T4", "T2", "T0"]
    assert (await names(state="inactive"))[0] == ["T1", "T3"]
    assert (await names(state="active", line_item_id=world["line-item"], name="T2,T4"))[0] == ["T2", "T4"]
    assert (await names(colour="red"))[1]["dbg_info"]["warnings"] == ["query parameter not used: colour"]


@ENGINES
@BOTH
async def test_delete_one_and_a_list(api: Harness, service: str) -> None:
    world = await api.world()
    made = [(await api.tracker(service, world))["id"] for _ in range(3)]
    response = await api.delete(service, made[0])
    assert list(response) == ["status", "count", "start_element", "num_elements", "dbg_info"]
    assert (response["count"], response["start_element"], response["num_elements"]) == (1, None, None)
    refused = await api.delete(service, f"{made[1]},{made[0]}")
    assert refused["error"] == f"{service} id not found: {made[0]}"
    assert (await api.delete(service, f"{made[1]},{made[2]}"))["count"] == 2
    assert (await api.call("GET", service))["count"] == 0
    assert (await api.tracker(service, world))["id"] > made[2], "ids of deleted trackers stay theirs"


@ENGINES
@BOTH
async def test_loose_input(api: Harness, service: str) -> None:
    world = await api.world()
    fields = body(service, world)[service]
    fields["publisher"] = {"id": str(world["publisher"]), "name": "ignored"}
    fields["tag"] = [{"id": world["placement"]}]
    fields["payment_rule"] = {"id": world["payment-rule"]}
    fields |= {"id": 5, "member_id": 99, "last_modified": "2001-01-01 00:00:00", "surprise": 1, "code": ""}
    response = await api.call("POST", service, {service: fields}, advertiser_id=world["advertiser"])
    tracker = response[service]
    assert tracker["member_id"] == 1
    assert tracker["code"] is None
    assert tracker["tag"]["id"] == world["placement"]
    assert tracker["payment_rule"] == {"id": world["payment-rule"], "name": "Base Payment Rule"}
    assert response["dbg_info"]["warnings"][0] == f"unknown field not used: {service}.surprise"
    put_back = await api.put(service, tracker["id"], tracker)
    assert {**put_back, "last_modified": 0} == {**tracker, "last_modified": 0}
    cleared = await api.put(service, tracker["id"], {"tag": None, "payment_rule": []})
    assert (cleared["tag"], cleared["payment_rule"]) == (None, None)


@ENGINES
@BOTH
async def test_names_are_resolved_when_read(api: Harness, service: str) -> None:
    world = await api.world()
    tracker = await api.tracker(service, world)
    await api.put("publisher", world["publisher"], {"name": "December Publisher"})
    await api.put("line-item", world["line-item"], {"name": "Other Line"})
    found = await api.get(service, tracker["id"])
    assert (found["publisher"]["name"], found["line_item"]["name"]) == ("December Publisher", "Other Line")


@ENGINES
@BOTH
async def test_all_faults_of_a_body_are_reported_together(api: Harness, service: str) -> None:
    world = await api.world()
    bad = {
        "state": "paused",
        "code": "x" * 101,
        "publisher": {"id": "abc"},
        "line_item": {"id": 999999},
        "tag": {"id": 2**70},
    }
    response = await api.call("POST", service, {service: bad})
    assert (response["status"], response["error_id"], response["service"], response["method"]) == (
        "error",
        "SYNTAX",
        service,
        "POST",
    )
    assert [part.split(":")[0] for part in response["error"].split("; ")] == [
        "advertiser_id",
        "name",
        "code",
        "state",
        "publisher.id",
        "tag.id",
        "line_item.id",
    ]
    assert (await api.call("GET", service))["count"] == 0
    assert world


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", None),
        ("name", ""),
        ("name", "   "),
        ("name", "x" * 256),
        ("name", "nul\x00"),
        ("name", 5),
        ("name", ["a"]),
        ("state", None),
        ("state", "ACTIVE"),
        ("publisher", None),
        ("publisher", []),
        ("publisher", {}),
        ("publisher", 5),
        ("publisher", {"id": 0}),
        ("publisher", {"id": -1}),
        ("publisher", {"id": True}),
        ("publisher", {"id": 1.5}),
        ("publisher", {"id": "1e3"}),
        ("publisher", {"id": "١"}),
        ("line_item", {"id": 10**30}),
        ("code", {"a": 1}),
        ("click_url", "ftp://example.com/"),
        ("click_url", "javascript:alert(1)"),
        ("click_url", "https://user@example.com/"),
        ("click_url", "https://@example.com/"),
        ("click_url", "https://good.example\\@evil.example/"),
        ("click_url", "https://exa mple.com/"),
        ("click_url", " https://example.com/"),
        ("click_url", "https://example.com/\r\nX: y"),
        ("click_url", "https:///path"),
        ("click_url", "https://"),
        ("click_url", "https:example.com"),
        ("click_url", "//example.com/"),
        ("click_url", "https://example.com/" + "a" * 2000),
        ("click_url", 5),
        ("click_url", False),
        ("click_url", []),
    ],
)
async def test_bad_values(api: Harness, field: str, value: Any) -> None:
    world = await api.world()
    tracker = await api.tracker("clicktracker", world)
    for response in (
        await api.call(
            "POST", "clicktracker", body("clicktracker", world, **{field: value}), advertiser_id=world["advertiser"]
        ),
        await api.call("PUT", "clicktracker", {"clicktracker": {field: value}}, id=tracker["id"]),
    ):
        assert response["error_id"] == "SYNTAX"
        assert response["error"].startswith(field)
    assert await api.get("clicktracker", tracker["id"]) == tracker
    assert (await api.call("GET", "clicktracker"))["count"] == 1


@ENGINES
@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://test-landing-page.com", "test-landing-page.com"),
        ("HTTP://EXAMPLE.com:8080/a?b=${X}#c", "example.com"),
        ("https://bücher.example/ü", "xn--bcher-kva.example"),
        ("http://[2001:db8::1]/", "[2001:db8::1]"),
        ("", None),
        (None, None),
    ],
)
async def test_click_url_is_stored_as_written(api: Harness, url: str | None, host: str | None) -> None:
    tracker = await api.tracker("clicktracker", await api.world(), click_url=url)
    assert tracker["click_url"] == (url or None)
    async with api.store.connect() as connection:
        found = await connection.exec_driver_sql("SELECT click_host FROM clicktracker")
        assert found.scalar_one() == host


@ENGINES
@BOTH
async def test_wrong_parents(api: Harness, service: str) -> None:
    one, two = await api.world(), await api.world()
    response = await api.call(
        "POST",
        service,
        body(
            service,
            one,
            line_item={"id": two["line-item"]},
            tag={"id": two["placement"]},
            payment_rule={"id": two["payment-rule"]},
        ),
        advertiser_id=one["advertiser"],
    )
    assert response["error_id"] == "INTEGRITY"
    assert [part.split(":")[0] for part in response["error"].split("; ")] == [
        "tag.id",
        "payment_rule.id",
        "line_item.id",
    ]
    tracker = await api.tracker(service, one, tag={"id": one["placement"]})
    moved = await api.call("PUT", service, {service: {"publisher": {"id": two["publisher"]}}}, id=tracker["id"])
    assert moved["error_id"] == "INTEGRITY"
    assert moved["error"].startswith("tag.id")
    both = {"publisher": {"id": two["publisher"]}, "tag": {"id": two["placement"]}}
    assert (await api.put(service, tracker["id"], both))["tag"]["id"] == two["placement"]


@BOTH
async def test_unknown_ids(api: Harness, service: str) -> None:
    await api.world()
    for method, sent in (("GET", None), ("PUT", {service: {"name": "x"}}), ("DELETE", None)):
        response = await api.call(method, service, sent, id=4711)
        assert (response["error_id"], response["error"]) == ("SYNTAX", f"{service} id not found: 4711")
        assert response["error_code"] == f"NOTFOUND_{service.upper()}"
        bad = await api.call(method, service, sent, id="abc")
        assert bad["error"].startswith("id: not an id")


@BOTH
async def test_member_without_tracker_permission(api: Harness, service: str) -> None:
    other = await api.second_member(trackers=False)
    world = await other.world()
    response = await other.call("POST", service, body(service, world), advertiser_id=world["advertiser"])
    assert response["error_id"] == "UNAUTH"
