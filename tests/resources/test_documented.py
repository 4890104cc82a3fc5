"""The API compared with the documents of five services, field by field: length, values, default and origin."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from onebyone.resources import field_shapes
from onebyone.resources.entities import ENTITIES
from onebyone.resources.entity import Entity
from onebyone.resources.owners import owner_columns
from tests.resources.documented import DEFAULTS, FIELDS, LENGTHS, NOT_SHOWN, OWN, READ_ONLY, VALUES
from tests.resources.guaranteed import guaranteed
from tests.support.api_harness import Harness, Json

pytestmark = pytest.mark.anyio
ROOT = Path(__file__).parents[2]
REFERENCE = ROOT.parent / "shared" / "reference"
FIVE: dict[str, Entity] = {entity.service: entity for entity in ENTITIES if entity.service in FIELDS}
SERVICES = pytest.mark.parametrize("service", FIVE)
ENGINES = pytest.mark.parametrize("store_url", ["sqlite", "postgresql"], indirect=True)


# The list in documented.py compared with the documents.

TYPE = r"(?:int|string|enum|boolean|double|timestamp|date|array|object)\b"
SECTIONS: dict[str, dict[str, tuple[str, str]]] = {
    "line-item": {
        "": ("General", "Supply strategies"),
        "supply_strategies.": ("Supply strategies", "Delivery goal"),
        "delivery_goal.": ("Delivery goal", "Flat fee"),
        "flat_fee.": ("Flat fee", "Budget schedule setting"),
        "budget_scheduling_settings.": ("Budget schedule setting", "Roadblock"),
        "roadblock.": ("Roadblock", "Advertiser"),
        "advertiser.": ("Advertiser", "Labels"),
        "labels.": ("Labels", "Pixels"),
        "pixels.": ("Pixels", "Insertion orders"),
        "insertion_orders.": ("Insertion orders", "Auction event"),
        "auction_event.": ("Auction event", "Creatives"),
        "creatives.": ("Creatives", "Custom date ranges"),
        "creatives.custom_date_ranges.": ("Custom date ranges", "Budget intervals"),
        "budget_intervals.": ("Budget intervals", "Stats"),
    },
    "publisher": {
        "": ("JSON fields", "Contact"),
        "contact.": ("Contact", "Labels"),
        "labels.": ("Labels", "Placements"),
        "placements.": ("Placements", "Publisher brand exceptions"),
        "publisher_brand_exceptions.": ("Publisher brand exceptions", "Stats"),
    },
    "thirdparty-pixel": {"": ("JSON fields", "Examples")},
    "imptracker": {"": ("## JSON Fields", "**Publisher**")},
    "clicktracker": {"": ("## JSON Fields", "**Publisher**")},
}
DOCUMENTS = {
    "line-item": "line-item-service-gdali.txt",
    "publisher": "publisher-service.txt",
    "thirdparty-pixel": "third-party-pixel-service.txt",
    "imptracker": "impression-tracker-service.md",
    "clicktracker": "click-tracker-service.md",
}
MISPRINTS = {"flat_fee.lat_fee_status": "flat_fee.flat_fee_status"}


def written(service: str) -> Iterator[tuple[str, str]]:
    """Return the path and line of each row of a document's tables."""
    text = (REFERENCE / DOCUMENTS[service]).read_text()
    for prefix, (start, end) in SECTIONS[service].items():
        begin = re.search(rf"^{re.escape(start)}\s*$", text, re.M)
        assert begin is not None, start
        part = text[begin.end() :]
        stop = re.search(rf"^{re.escape(end)}\s*$", part, re.M)
        assert stop is not None, end
        for line in re.finditer(rf"^(?:\| )?([a-z][a-z0-9_]+) (?:\| )?{TYPE}.*$", part[: stop.start()], re.M):
            yield MISPRINTS.get(f"{prefix}{line[1]}", f"{prefix}{line[1]}"), line[0]


@SERVICES
def test_field_list_matches_the_document(service: str) -> None:
    if not REFERENCE.is_dir():
        pytest.skip("the reference documents are not next to the checkout")
    rows = dict(written(service))
    assert len(rows) > 10
    assert rows.keys() - set(FIELDS[service]) == set()
    lengths = {path: int(found[1]) for path, row in rows.items() if (found := re.search(r"string \((\d+)\)", row))}
    assert lengths.items() <= LENGTHS[service].items()
    text = (REFERENCE / DOCUMENTS[service]).read_text()
    invented = [path for path in FIELDS[service] if path not in rows and path.split(".")[-1] not in text]
    assert invented == []
    for path, values in VALUES[service].items():
        assert [value for value in values if value not in text] == [], path


# The list compared with the API.


def paths(value: Any, prefix: str = "") -> Iterator[str]:
    """Return the paths of an object of the API, with arrays flattened."""
    for element in value if isinstance(value, list) else [value]:
        for name, inner in element.items() if isinstance(element, dict) else ():
            yield f"{prefix}{name}"
            yield from paths(inner, f"{prefix}{name}.")


def model_of(service: str, path: str) -> tuple[type[BaseModel], str]:
    """Return the model that declares a path, and the field's name in it."""
    model: type[BaseModel] = FIVE[service].body
    *way, last = path.split(".")
    for step in way:
        inner = field_shapes.field_shape(model.model_fields[step]).model
        assert inner is not None
        model = inner
    return model, last


async def whole(api: Harness, service: str, order: Json) -> list[Json]:
    """Create objects that together show every part that objects of the service can have."""
    world = await api.world()
    if service in ("imptracker", "clicktracker"):
        links = {"tag": {"id": world["placement"]}, "payment_rule": {"id": world["payment-rule"]}}
        return [await api.tracker(service, world, **links)]
    if service == "thirdparty-pixel":
        return [await api.create(service, {"content": "x()"})]
    if service == "publisher":
        parts: Json = {"labels": [{"id": 2, "value": "x"}], "publisher_brand_exceptions": [{"brand_id": 3}]}
        return [await api.create(service, {"name": "P", "contact": {"name": "N"}, **parts})]
    ranges = [{"start_date": "2020-10-02 00:00:00", "end_date": "2020-10-02 23:59:59"}]
    creative = {"id": 5, "all_budget_intervals": False, "custom_date_ranges": ranges}
    fields = guaranteed(
        order,
        labels=[{"id": 7, "value": "x"}],
        pixels=[{"id": 3}],
        creatives=[creative],
        auction_event={"revenue_auction_event_type": "view"},
        budget_scheduling_settings={"underspend_catchup_type": "evenly"},
        roadblock={"type": "partial_roadblock", "master_width": 300, "master_height": 600},
    )
    fields["budget_intervals"][0]["creatives"] = [{"id": 5}]
    owner = {"advertiser_id": order["advertiser_id"]}
    made = await api.create(service, fields, **owner)
    fee = await api.create(
        service, guaranteed(order, exclusive=True, revenue_type="flat_fee", flat_fee_type="daily"), **owner
    )
    flags = dict.fromkeys(("flight_info", "all_status", "include_insertion_order_id"), "true")
    return [(await api.call("GET", service, id=row["id"], **flags))[service] for row in (made, fee)]


@SERVICES
async def test_every_field_is_shown(api: Harness, order: Json, service: str) -> None:
    shown = {path for row in await whole(api, service, order) for path in paths(row)}
    assert {*FIELDS[service], *OWN[service]} - NOT_SHOWN[service] - shown == set()
    assert NOT_SHOWN[service] & shown == set()


@SERVICES
async def test_defaults(api: Harness, service: str) -> None:
    world = await api.world()
    if service in ("imptracker", "clicktracker"):
        made = await api.tracker(service, world)
    elif service == "thirdparty-pixel":
        made = await api.create(service, {"content": "x()"})
    else:
        made = await api.get(service, world[service])
    assert {name: made[name] for name in DEFAULTS[service]} == DEFAULTS[service]


@SERVICES
def test_lengths(service: str) -> None:
    for path, length in LENGTHS[service].items():
        if path == "placements.code":
            continue
        model, name = model_of(service, path)
        fits = {"click_url": "x" * length, "currency": "EUR"}.get(name, "x" * length)
        assert _accepts(model, name, fits), path
        assert not _accepts(model, name, "x" * (length + 1)), path


@SERVICES
def test_values(service: str) -> None:
    for path, values in VALUES[service].items():
        model, name = model_of(service, path)
        several = path == "ad_types"
        for value in values:
            assert _accepts(model, name, [value] if several else value), (path, value)
        wrong: tuple[Any, ...] = ("no value", values[0].swapcase(), 5, True, "")
        for value in wrong:
            assert not _accepts(model, name, [value] if several else value), (path, value)


def _accepts(model: type[BaseModel], name: str, value: Any) -> bool:
    try:
        model.__pydantic_validator__.validate_assignment(model.model_construct(), name, value)
    except ValueError:
        return False
    return True


@SERVICES
def test_fields_outside_the_body_are_read_only(service: str) -> None:
    entity = FIVE[service]
    roots = {path for path in FIELDS[service] if "." not in path} - NOT_SHOWN[service]
    assert roots - entity.body.model_fields.keys() - READ_ONLY[service] == set()
    assert READ_ONLY[service] & entity.body.model_fields.keys() == set()


@SERVICES
async def test_read_only_fields_are_ignored(api: Harness, order: Json, service: str) -> None:
    made = (await whole(api, service, order))[0]
    before = await api.get(service, made["id"])
    sent = {service: dict.fromkeys(sorted(READ_ONLY[service]), "x")}
    response = await api.call("PUT", service, sent, id=made["id"])
    unused = [name for name in sorted(READ_ONLY[service]) if name in FIVE[service].fixed]
    kept = [name for name in ("id", *owner_columns(FIVE[service])) if name in READ_ONLY[service]]
    assert response["dbg_info"]["warnings"] == [
        *(f"read-only field not used: {service}.{name}" for name in unused),
        *(f"{service}.{name}: not used, the object keeps {before[name]}" for name in kept),
    ]
    assert {**response[service], "last_modified": 0} == {**before, "last_modified": 0}


@ENGINES
@SERVICES
async def test_response_can_be_sent_back_without_a_warning(api: Harness, order: Json, service: str) -> None:
    for made in await whole(api, service, order):
        response = await api.call("PUT", service, {service: made}, id=made["id"])
        assert (response["status"], response["dbg_info"]["warnings"]) == ("OK", []), response.get("error")
        assert {**made, **response[service], "last_modified": 0} == {**made, "last_modified": 0}


@SERVICES
async def test_unused_fields_cause_warnings(api: Harness, service: str) -> None:
    if not NOT_SHOWN[service]:
        return
    world = await api.world()
    row_id = (await api.tracker(service, world))["id"] if service == "imptracker" else world[service]
    sent = {service: dict.fromkeys(sorted(NOT_SHOWN[service]), 1)}
    response = await api.call("PUT", service, sent, id=row_id)
    warnings = [f"unknown field not used: {service}.{name}" for name in sorted(NOT_SHOWN[service])]
    assert response["dbg_info"]["warnings"] == warnings


TEXTS = {"timezone": "CET", "currency": "USD"}
DECIDED_BY_OTHERS = {
    "thirdparty-pixel": {
        *("member_id", "advertiser_id", "audit_status", "format"),
        *("content", "secure_content", "url", "secure_url"),
    },
    "publisher": {"default_site_id", "base_payment_rule_id", "is_oo", "inventory_source", "inventory_source_name"},
    "line-item": {"line_item_type", "line_item_subtype", "flat_fee_type", "lifetime_pacing_span"},
}
"""Fields with rules, which have tests of their own, named in `docs/fields.md`."""


@ENGINES
@SERVICES
async def test_plain_fields_are_stored(api: Harness, service: str) -> None:
    """Set each writable plain field to another value, alone and as text, and read it back."""
    world = await api.world()
    if service in ("imptracker", "clicktracker"):
        row_id = (await api.tracker(service, world))["id"]
    elif service == "thirdparty-pixel":
        row_id = (await api.create(service, {"content": "x()"}))["id"]
    else:
        row_id = world[service]
    tried = 0
    for name, field in FIVE[service].body.model_fields.items():
        shape = field_shapes.field_shape(field)
        if (
            shape.word not in field_shapes.SCALARS
            or name in DECIDED_BY_OTHERS.get(service, ())
            or field.annotation is None
        ):
            continue
        if field.annotation is type(None):
            continue
        now = (await api.get(service, row_id))[name]
        sent, kept = _another(name, shape, now)
        found = await api.put(service, row_id, {name: sent})
        assert found[name] == kept, name
        assert (await api.get(service, row_id))[name] == kept, name
        tried += 1
    assert tried > 1


def _another(name: str, shape: field_shapes.Shape, now: Any) -> tuple[Any, Any]:
    """Return what to send, and what must be shown after it."""
    if name in TEXTS:
        return TEXTS[name], TEXTS[name]
    if name in ("click_url",):
        return "https://landing.example/x", "https://landing.example/x"
    if shape.choices:
        other = next((value for value in reversed(shape.choices) if value not in (now, "flat_fee")), now)
        return other, other
    match shape.word:
        case "boolean":
            return str(not now).lower(), not now
        case "int":
            return "7", 7
        case "double" | "money":
            return "77.5", 77.5
        case "date":
            return "2026-02-03", "2026-02-03 00:00:00"
        case _:
            return f"new-{name}", f"new-{name}"


# The list compared with docs/fields.md.


def table(service: str) -> dict[str, tuple[str, str]]:
    """Return path -> its rule, and the tests that check it."""
    text = (ROOT / "docs" / "fields.md").read_text()
    _, found, section = text.partition(f"\n## {service}\n")
    assert found, service
    rows = re.findall(r"^\| `([^`|]+)` \| (.*?) \| (.*?) \|$", section.partition("\n## ")[0], re.M)
    return {path: (rule, tests) for path, rule, tests in rows}


@SERVICES
def test_every_field_has_a_row_in_the_docs(service: str) -> None:
    rows = table(service)
    assert rows.keys() == {*FIELDS[service], *OWN[service]}
    assert all(rule and "`test_" in tests for rule, tests in rows.values())


def test_tests_named_in_the_docs_exist() -> None:
    text = (ROOT / "docs" / "fields.md").read_text()
    for file, name in sorted(set(re.findall(r"`(test_\w+\.py)(?:::(\w+))?`", text))):
        (path,) = (path for folder in ("resources", "api") if (path := ROOT / "tests" / folder / file).is_file())
        tree = ast.parse(path.read_text())
        names = {node.name for node in tree.body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))}
        assert not name or name in names, f"{file}::{name}"
