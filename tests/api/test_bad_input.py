"""Invalid input to every service: the documented envelope, every fault with its path, and nothing written."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import select

from onebyone.api.http.methods import entity_methods
from onebyone.config_store import tables
from onebyone.resources.entities import ENTITIES
from onebyone.resources.entity import Entity
from tests.support.api_harness import Harness, Json, response_of

pytestmark = pytest.mark.anyio
ENGINES = pytest.mark.parametrize("store_url", ["sqlite", "postgresql"], indirect=True)
SERVICES = pytest.mark.parametrize("entity", ENTITIES, ids=lambda entity: entity.service)
WRONG: Any = [[[]]]
"""A value that no documented field accepts."""


@dataclass(frozen=True)
class Place:
    """A service under test: the query of a POST, a valid body, and the id of an object to PUT to."""

    query: str
    fields: Json
    row_id: int


async def place_of(api: Harness, service: str) -> Place:
    world = await api.world()
    await api.put("advertiser", world["advertiser"], {"use_insertion_orders": True})
    of_advertiser, of_publisher = f"?advertiser_id={world['advertiser']}", f"?publisher_id={world['publisher']}"
    links = {"publisher": {"id": world["publisher"]}, "line_item": {"id": world["line-item"]}}
    known: dict[str, tuple[str, Json]] = {
        "user": ("", {"username": "Somebody", "password": "Long-enough-1"}),
        "insertion-order": (of_advertiser, {}),
        "line-item": (of_advertiser, {}),
        "site": (of_publisher, {}),
        "placement": (of_publisher, {}),
        "payment-rule": (of_publisher, {"revshare": 0.5}),
        "imptracker": (of_advertiser, links),
        "clicktracker": (of_advertiser, links),
        "thirdparty-pixel": ("", {"content": "x()"}),
    }
    query, more = known.get(service, ("", {}))
    fields = {"name": "Good", **more} if service != "user" else dict(more)
    if service in ("member", "user"):
        return Place(query, fields, 1)
    answer = await api.send("POST", f"/{service}{query}", json={service: fields})
    row_id = response_of(answer)["id"]
    return Place(query, {**fields, "name": "Other"}, row_id)


async def everything(api: Harness) -> dict[str, list[Any]]:
    """Return every row of every table."""
    async with api.store.connect() as connection:
        return {
            table.name: sorted(map(repr, (await connection.execute(select(table))).all()))
            for table in tables.metadata.sorted_tables
        }


def text_of(entity: Entity) -> str:
    """Return the field that receives the table's invalid texts."""
    return "username" if entity.service == "user" else "name"


def body(entity: Entity, fields: Json, **more: Any) -> bytes:
    return json.dumps({entity.service: {**fields, **more}}, ensure_ascii=False).encode()


def raw(entity: Entity, fields: Json, text: bytes) -> bytes:
    """Return a valid body whose text field has these bytes as its JSON."""
    marked = body(entity, fields, **{text_of(entity): "@@"})
    return marked.replace(b'"@@"', text)


NOT_JSON = "the body is not JSON"
SHAPE = "{service}: the body must be"
TEXT = "{text}: "
TABLE: dict[str, tuple[Callable[[Entity, Json], bytes], str]] = {
    "nothing": (lambda entity, fields: b"", SHAPE),
    "blanks": (lambda entity, fields: b" \r\n", SHAPE),
    "cut off": (lambda entity, fields: body(entity, fields)[:-1], NOT_JSON),
    "trailing bytes": (lambda entity, fields: body(entity, fields) + b"x", NOT_JSON),
    "a comma too much": (lambda entity, fields: body(entity, fields)[:-2] + b",}}", NOT_JSON),
    "single quotes": (lambda entity, fields: body(entity, fields).replace(b'"', b"'"), NOT_JSON),
    "a form": (lambda entity, fields: b"name=Good&state=active", NOT_JSON),
    "xml": (lambda entity, fields: b"<name>Good</name>", NOT_JSON),
    "UTF-16": (lambda entity, fields: body(entity, fields).decode().encode("utf-16"), NOT_JSON),
    "UTF-16 without a mark": (lambda entity, fields: body(entity, fields).decode().encode("utf-16-le"), NOT_JSON),
    "UTF-32": (lambda entity, fields: body(entity, fields).decode().encode("utf-32"), NOT_JSON),
    "Latin-1": (lambda entity, fields: raw(entity, fields, '"Kühn"'.encode("latin-1")), NOT_JSON),
    "overlong UTF-8": (lambda entity, fields: raw(entity, fields, b'"\xc0\xaf"'), NOT_JSON),
    "UTF-8 surrogates": (lambda entity, fields: raw(entity, fields, b'"\xed\xa0\x80"'), NOT_JSON),
    "a lone surrogate": (lambda entity, fields: raw(entity, fields, b'"\\ud800"'), NOT_JSON),
    "a NUL byte": (lambda entity, fields: raw(entity, fields, b'"a\x00b"'), NOT_JSON),
    "a NUL": (lambda entity, fields: raw(entity, fields, b'"a\\u0000b"'), TEXT),
    "control characters": (lambda entity, fields: raw(entity, fields, b'"a\\u001bb"'), TEXT),
    "a name of a megabyte": (lambda entity, fields: raw(entity, fields, b'"' + b"x" * 1_000_000 + b'"'), TEXT),
    "a name of a megabyte in 4-byte characters": (
        lambda entity, fields: raw(entity, fields, ('"' + "𝕏" * 250_000 + '"').encode()),
        TEXT,
    ),
    "too many bytes": (
        lambda entity, fields: body(entity, fields, padding="x" * 1_100_000),
        "the body is larger than",
    ),
    "nesting without end": (lambda entity, fields: raw(entity, fields, b"[" * 100_000), NOT_JSON),
    "nesting": (lambda entity, fields: raw(entity, fields, b"[" * 990 + b"]" * 990), "the body nests too deep"),
    "NaN": (lambda entity, fields: raw(entity, fields, b"NaN"), NOT_JSON),
    "Infinity": (lambda entity, fields: raw(entity, fields, b"-Infinity"), NOT_JSON),
    "an exponent beyond all": (lambda entity, fields: raw(entity, fields, b"1e400"), ""),
    "digits without end": (lambda entity, fields: raw(entity, fields, b"9" * 10_000), ""),
    "a number for a text": (lambda entity, fields: raw(entity, fields, b"5"), TEXT),
    "a key twice": (lambda entity, fields: raw(entity, fields, b'"a", "%s": "b"' % text_of(entity).encode()), "twice"),
    "the wrapper twice": (lambda entity, fields: body(entity, fields)[:-1] + b"," + body(entity, {})[1:], "twice"),
    "an array": (lambda entity, fields: b"[" + body(entity, fields) + b"]", SHAPE),
    "null": (lambda entity, fields: b"null", SHAPE),
    "a text": (lambda entity, fields: b'"%s"' % entity.service.encode(), SHAPE),
    "a number": (lambda entity, fields: b"5", SHAPE),
    "no wrapper": (lambda entity, fields: json.dumps(fields).encode(), SHAPE),
    "another wrapper": (lambda entity, fields: json.dumps({"campaign": fields}).encode(), SHAPE),
    "an array in the wrapper": (lambda entity, fields: json.dumps({entity.service: [fields]}).encode(), SHAPE),
    "null in the wrapper": (lambda entity, fields: json.dumps({entity.service: None}).encode(), SHAPE),
}
"""Name -> the body, and the beginning of the error."""


@ENGINES
@SERVICES
async def test_malformed_bodies_are_refused(api: Harness, entity: Entity) -> None:
    place = await place_of(api, entity.service)
    before = await everything(api)
    for name, (content, start) in TABLE.items():
        for method, target in (("POST", place.query), ("PUT", f"?id={place.row_id}")):
            if method not in entity_methods(entity):
                continue
            sent = content(entity, place.fields)
            answer = await api.send(method, f"/{entity.service}{target}", content=sent)
            response = response_of(answer)
            where = (name, method, response.get("error"))
            assert (answer.status_code, response["status"], response.get("error_id")) == (200, "error", "SYNTAX"), where
            assert (response["service"], response["method"]) == (entity.service, method)
            wanted = start.format(service=entity.service, text=text_of(entity))
            assert wanted in response["error"] if wanted == "twice" else response["error"].startswith(wanted), where
            assert len(response["error"]) < 500, where
    assert await everything(api) == before


@pytest.mark.parametrize("service", ["auth", "report"])
async def test_malformed_bodies_of_services_without_objects(api: Harness, service: str) -> None:
    """Check errors that come before any field is validated."""
    place: Any = SimpleNamespace(service=service)
    before = await everything(api)
    for name, (content, start) in TABLE.items():
        if start not in (TEXT, ""):
            answer = await api.send("POST", f"/{service}", content=content(place, {"name": "Good"}))
            response = response_of(answer)
            assert (answer.status_code, response.get("error_id")) == (200, "SYNTAX"), (name, response)
            assert len(response["error"]) < 500, name
    assert await everything(api) == before


@ENGINES
@SERVICES
async def test_all_invalid_fields_are_reported_together(api: Harness, entity: Entity) -> None:
    place = await place_of(api, entity.service)
    before = await everything(api)
    fields = list(entity.body.model_fields)
    for method, target in (("POST", place.query), ("PUT", f"?id={place.row_id}")):
        if method not in entity_methods(entity):
            continue
        sent = {entity.service: dict.fromkeys(fields, WRONG)}
        response = response_of(await api.send(method, f"/{entity.service}{target}", json=sent))
        assert response["error_id"] == "SYNTAX"
        roots = {fault.split(":")[0].split(".")[0] for fault in response["error"].split("; ")}
        assert roots >= set(fields), method
    assert await everything(api) == before


@ENGINES
@SERVICES
async def test_unknown_fields_are_dropped_with_a_warning(api: Harness, entity: Entity) -> None:
    place = await place_of(api, entity.service)
    wrong = {f"surprise {number}": {"a": [number]} for number in range(3)}
    unknown = ["beside", *(f"{entity.service}.{name}" for name in wrong)]
    for method, target in (("POST", place.query), ("PUT", f"?id={place.row_id}")):
        if method in entity_methods(entity):
            sent = {entity.service: {**(place.fields if method == "POST" else {}), **wrong}, "beside": 1}
            response = response_of(await api.send(method, f"/{entity.service}{target}", json=sent))
            assert response["status"] == "OK"
            warnings = [
                text for text in response["dbg_info"]["warnings"] if not text.startswith("click_url is not set")
            ]
            assert warnings == [f"unknown field not used: {name}" for name in unknown]
            assert not wrong.keys() & response[entity.service].keys()


@pytest.mark.parametrize(
    ("service", "fields", "paths"),
    [
        ("imptracker", {"publisher": {"id": 1, "colour": 2}}, ["publisher.colour"]),
        ("publisher", {"contact": {"name": "N", "fax": "1"}}, ["contact.fax"]),
        ("publisher", {"labels": [{"id": 2, "value": "x"}, {"id": 4, "value": "y", "z": 1}]}, ["labels.1.z"]),
        (
            "line-item",
            {"roadblock": {"kind": 1}, "labels": {"id": 7, "value": "x", "y": 1}},
            ["roadblock.kind", "labels.y"],
        ),
        ("line-item", {"budget_intervals": [{"start_date": "2026-01-01", "budget": 5}]}, ["budget_intervals.0.budget"]),
        (
            "line-item",
            {"budget_intervals": [{"start_date": "2026-01-01", "creatives": [{"id": 1, "size": 5}]}]},
            ["budget_intervals.0.creatives.0.size"],
        ),
        ("site", {"marketplace_map": {"rtb": True, "radio": True}}, ["marketplace_map.radio"]),
    ],
)
async def test_unknown_nested_fields(api: Harness, service: str, fields: Json, paths: list[str]) -> None:
    place = await place_of(api, service)
    response = await api.call("PUT", service, {service: fields}, id=place.row_id)
    assert response["dbg_info"]["warnings"] == [f"unknown field not used: {service}.{path}" for path in paths]


@ENGINES
@pytest.mark.parametrize(
    ("service", "fields", "paths"),
    [
        (
            "line-item",
            {
                "name": "",
                "state": "active",
                "line_item_subtype": "gd_buying_imp",
                "currency": "ABCD",
                "revenue_type": "cpc",
                "start_date": "2026-01-01",
                "budget_intervals": [{"start_date": "2026-01-01 00:30:00", "daily_budget": 5}],
            },
            [
                *("name", "currency", "budget_intervals.0.start_date", "revenue_value", "revenue_type", "start_date"),
                *("delivery_goal", "budget_intervals.0.end_date", "budget_intervals.0.daily_budget"),
                *("budget_intervals.0.lifetime_budget_imps", "budget_intervals.0.lifetime_pacing", "insertion_orders"),
            ],
        ),
        (
            "insertion-order",
            {
                "code": "a b",
                "lifetime_budget": 5,
                "start_date": "2026-01-01",
                "budget_intervals": {"start_date": "2026-01-01"},
            },
            ["code", "start_date", "lifetime_budget"],
        ),
        ("payment-rule", {"state": "x", "revshare": None, "max_revshare": 0.1}, ["state", "revshare", "max_revshare"]),
        ("payment-rule", {"pricing_type": "x", "revshare": None}, ["pricing_type"]),
        ("publisher", {"timezone": "x", "inventory_source": "other"}, ["timezone", "inventory_source_name"]),
        ("thirdparty-pixel", {"name": 5, "members": [{"id": 9}], "content": ""}, ["name", "members.0.id", "content"]),
        (
            "user",
            {"email": 5, "user_type": "publisher", "advertiser_id": 3},
            ["email", "advertiser_id", "publisher_id"],
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_invalid_values_and_broken_rules_are_reported_together(
    api: Harness, service: str, fields: Json, paths: list[str]
) -> None:
    place = await place_of(api, service)
    before = await everything(api)
    sent = {service: {**place.fields, **fields}}
    response = response_of(await api.send("POST", f"/{service}{place.query}", json=sent))
    assert [fault.split(":")[0] for fault in response["error"].split("; ")] == paths
    assert await everything(api) == before
