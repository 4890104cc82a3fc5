"""Tags in the answers of trackers: their URLs, what a write may send back, and warnings about their base."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from onebyone.resources.tracker_tags import base_url_warning, tracker_tags
from onebyone.settings import Settings
from tests.support import plans
from tests.support.api_harness import Harness, Json

pytestmark = pytest.mark.anyio
BASE = "https://tags.example.com"
SERVICES = pytest.mark.parametrize("service", ["imptracker", "clicktracker"])


def expected(service: str, tracker_id: int) -> Json:
    if service == "clicktracker":
        return {"click": f"{BASE}/clktr?id={tracker_id}&cachebuster=[CACHEBUSTER]"}
    return {
        "image": f"{BASE}/imptr?id={tracker_id}&t=2&cachebuster=[CACHEBUSTER]",
        "script": f"{BASE}/imptr?id={tracker_id}&t=1&cachebuster=[CACHEBUSTER]",
    }


async def warnings_of(api: Harness, method: str, service: str, fields: Json, **query: object) -> list[str]:
    response = await api.call(method, service, {service: fields}, **query)
    assert response["status"] == "OK", response
    warnings: list[str] = response["dbg_info"]["warnings"]
    return warnings


@SERVICES
async def test_tags_are_the_last_field_of_every_answer(api: Harness, service: str) -> None:
    world = await api.world()
    tracker = await api.tracker(service, world)
    assert list(tracker)[-1] == "tags"
    assert tracker["tags"] == expected(service, tracker["id"])
    assert (await api.get(service, tracker["id"]))["tags"] == tracker["tags"]
    assert (await api.put(service, tracker["id"], {"name": "U"}))["tags"] == tracker["tags"]
    listed = await api.call("GET", service, fields="tags")
    assert listed[f"{service}s"] == [{"tags": tracker["tags"]}]
    flat = await api.call("GET", service, add_mappings="false")
    assert "tags" not in flat[f"{service}s"][0], "tags are an object"
    meta = await api.call("GET", f"{service}/meta")
    entry = {"name": "tags", "type": "object", "sort_by": False, "filter_by": False, "read_only": True}
    assert entry in meta["fields"]


@SERVICES
async def test_tags_cost_a_list_no_statement(api: Harness, service: str) -> None:
    world = await api.world()
    for _ in range(3):
        await api.tracker(service, world)
    counts = []
    for query in ({"fields": "id,name"}, {"fields": "id,name,tags"}, {}):
        with plans.recorded(api.store) as statements:
            await api.call("GET", service, **query)
        counts.append(len(statements))
    assert len(set(counts)) == 1, counts


@SERVICES
async def test_only_changed_tags_cause_a_warning(api: Harness, service: str) -> None:
    world = await api.world()
    tracker = await api.tracker(service, world)
    assert await warnings_of(api, "PUT", service, tracker, id=tracker["id"]) == []
    unused = [f"read-only field not used: {service}.tags"]
    for tags in ({"id": world["placement"]}, {}, None, [tracker["tags"]], {**tracker["tags"], "x": 1}):
        assert await warnings_of(api, "PUT", service, {"tags": tags}, id=tracker["id"]) == unused, tags
    assert {**await api.get(service, tracker["id"]), "last_modified": 0} == {**tracker, "last_modified": 0}
    copied = await warnings_of(api, "POST", service, tracker, advertiser_id=world["advertiser"])
    assert copied[:1] == unused, "the copy has tags of its own"


async def test_click_tracker_without_a_target(api: Harness) -> None:
    world = await api.world()
    links = {"name": "T", "publisher": {"id": world["publisher"]}, "line_item": {"id": world["line-item"]}}
    query = {"advertiser_id": world["advertiser"]}
    (warning,) = await warnings_of(api, "POST", "clicktracker", links, **query)
    assert warning.startswith("click_url is not set: the tag needs redir=")
    assert await warnings_of(api, "POST", "clicktracker", {**links, "click_url": "https://a.example"}, **query) == []
    assert await warnings_of(api, "POST", "imptracker", links, **query) == []


@SERVICES
async def test_writes_warn_of_a_base_that_browsers_do_not_reach(api: Harness, service: str) -> None:
    tracker = await api.tracker(service, await api.world())
    object.__setattr__(api.context, "settings", Settings(host="0.0.0.0"))  # noqa: S104
    (warning,) = await warnings_of(api, "PUT", service, {"name": "U"}, id=tracker["id"])
    assert warning.startswith("tags begin with http://127.0.0.1:8080: ")
    shown = await api.get(service, tracker["id"])
    assert all(url.startswith("http://127.0.0.1:8080/") for url in shown["tags"].values())


@pytest.mark.parametrize(
    ("base", "reasons"),
    [
        (BASE, ()),
        ("https://tags.example.com:8443/a", ()),
        ("http://tags.example.com", ("https",)),
        ("https://localhost", ("machine",)),
        ("https://LOCALHOST.:8443", ("machine",)),
        ("https://tags.localhost", ("machine",)),
        ("https://127.0.0.1", ("machine",)),
        ("https://127.9.9.9:8443", ("machine",)),
        ("https://[::1]:8443", ("machine",)),
        ("https://[::ffff:127.0.0.1]", ("machine",)),
        ("http://localhost:8080", ("https", "machine")),
    ],
)
def test_base_url_warning(base: str, reasons: tuple[str, ...]) -> None:
    warning = base_url_warning(base) or ""
    assert ("loads nothing from http" in warning) == ("https" in reasons)
    assert ("no other machine reaches" in warning) == ("machine" in reasons)
    assert ("ONEBYONE_PUBLIC_URL" in warning) == bool(reasons)


@pytest.mark.parametrize(
    ("public_url", "base"),
    [
        ("https://tags.example.com/", BASE),
        ("HTTPS://Tags.Example.com:443", BASE),
        ("https://tags.example.com/a b/<\"'>/", "https://tags.example.com/a%20b/%3C%22'%3E"),
        ("https://bücher.example", "https://xn--bcher-kva.example"),
        ("http://0.0.0.0:8080", "http://localhost:8080"),
        ("http://[::]:8080/x", "http://localhost:8080/x"),
        ("http://0:8080", "http://localhost:8080"),
    ],
)
def test_public_urls_are_escaped_and_name_a_host(public_url: str, base: str) -> None:
    edge_url = Settings(public_url=public_url).edge_url
    assert edge_url == base
    assert tracker_tags("clk", 5, edge_url) == {"click": f"{base}/clktr?id=5&cachebuster=[CACHEBUSTER]"}


@pytest.mark.parametrize(
    ("host", "base"),
    [
        ("0.0.0.0", "http://127.0.0.1:8080"),  # noqa: S104
        ("::", "http://[::1]:8080"),
        ("192.0.2.7", "http://192.0.2.7:8080"),
    ],
)
def test_base_without_a_public_url(host: str, base: str) -> None:
    assert Settings(host=host).edge_url == base


@pytest.mark.parametrize(
    "public_url",
    [
        *("tags.example.com", "ftp://tags.example.com", "https://", "https://tags.example.com/?a=1"),
        *("https://tags.example.com/#a", "https://user:secret@tags.example.com", "javascript:alert(1)"),
    ],
)
def test_public_urls_that_are_refused(public_url: str) -> None:
    with pytest.raises(ValidationError, match="must be an http or https URL"):
        Settings(public_url=public_url)
