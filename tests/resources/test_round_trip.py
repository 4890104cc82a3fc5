"""Accepted bodies are shown as sent, and refused ones write nothing, for bodies drawn from the OpenAPI document."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from decimal import Decimal
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from onebyone.api.openapi import examples
from onebyone.api.openapi.entity_schemas import component_name
from onebyone.config_store import tables
from onebyone.resources.entities import ENTITIES
from onebyone.resources.entity import Entity
from onebyone.resources.fields import loose_timestamp
from tests.support import api_harness, drawn_values
from tests.support.api_contract import described
from tests.support.api_harness import Harness, Json

FEW = settings(
    max_examples=8,
    deadline=None,
    derandomize=True,
    database=None,
    # No shrinking: every example has few fields, so the first failure is small enough.
    phases=[Phase.generate],
    suppress_health_check=[*HealthCheck],
)
MINUTE_MS = 60_000
UNSHOWN = {"user": {"password", "old_password"}}
"""Fields that can be written but are never shown."""
OVERRIDDEN = {"line-item": {"line_item_type", "supply_strategies"}}
"""Fields that the subtype of the example determines, whatever was sent."""
KEPT = {
    "user": ("user_type", "advertiser_id", "publisher_id", "state"),
    "line-item": ("line_item_subtype", "line_item_type", "supply_strategies"),
    "publisher": ("default_site_id", "base_payment_rule_id", "is_oo"),
}
"""Fields that keep the example's value: other fields depend on them, or the server sets them."""
_numbers = count(1)


class World:
    """The API with one object of each kind, called synchronously."""

    def __init__(self, runner: asyncio.Runner, url: str) -> None:
        self._runner = runner
        self.api: Harness = self.run(api_harness.start(url))
        self.ids: dict[str, int] = {}
        self.taken = self.refused = 0
        for service in examples.CREATE:
            self.ids[service] = self.run(self.api.create(service, self.body(service), **self.owner(service)))["id"]

    def run(self, answer: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine and return its result."""
        return self._runner.run(answer)

    def owner(self, service: str) -> dict[str, int]:
        """Return the query parameter that names the owner of a new object."""
        parent = next(entity.parent for entity in ENTITIES if entity.service == service)
        return {} if parent is None else {parent.column: self.ids[parent.service]}

    def body(self, service: str) -> Json:
        """Return the example with ids of this world and with unique names."""
        fields = dict(examples.CREATE[service])
        fields.pop("code", None)
        if service == "user":
            fields["username"] = f"user {next(_numbers)}"
        links = {"publisher": "publisher", "line_item": "line-item"}
        fields |= {name: {"id": self.ids[kind]} for name, kind in links.items() if name in fields}
        if "insertion_orders" in fields:
            fields["insertion_orders"] = [{"id": self.ids["insertion-order"]}]
        return fields

    def everything(self) -> list[Any]:
        """Return every row of every object, and the store's version."""
        return self.run(self._everything())  # type: ignore[no-any-return]

    async def _everything(self) -> list[Any]:
        async with self.api.store.connect() as connection:
            kept = [*(entity.table for entity in ENTITIES), tables.store_state, tables.outbox]
            return [row for table in kept for row in await connection.execute(select(table))]

    def send(self, method: str, service: str, fields: Json, **query: object) -> Json:
        """Write once; a refused write must not have changed anything."""
        # Each write is a minute later, so that none meets the request limit.
        self.api.clock.ahead_ms += MINUTE_MS
        before = self.everything()
        response: Json = self.run(self.api.call(method, service, {service: fields}, **query))
        if response["status"] != "OK":
            assert self.everything() == before
            self.refused += 1
        else:
            self.taken += 1
        return response

    def get(self, service: str, row_id: int) -> Json:
        """Return the object as a later read shows it."""
        found: Json = self.run(self.api.get(service, row_id))
        return found

    def close(self) -> None:
        """Stop the API."""
        self.run(self.api.http.aclose())
        self.run(self.api.store.dispose())


@pytest.fixture
def world(store_url: str) -> Iterator[World]:
    with asyncio.Runner() as runner:
        made = World(runner, store_url)
        yield made
        made.close()


def fields_of(entity: Entity, kind: str) -> Json:
    """Return the schemas of the fields that a drawn body may have."""
    body = described()["components"]["schemas"][f"{component_name(entity)}{kind}"]
    fixed = {*KEPT.get(entity.service, ()), *(link.field for link in entity.references)}
    fields: Json = body["properties"]
    return {name: schema for name, schema in fields.items() if name not in fixed}


def some(fields: Json) -> st.SearchStrategy[Json]:
    """Draw valid values of a few fields."""
    names = st.lists(st.sampled_from(sorted(fields)), unique=True, min_size=1, max_size=4)
    return names.flatmap(
        lambda chosen: st.fixed_dictionaries({name: drawn_values.values(fields[name]) for name in chosen})
    )


def shows(sent: Any, shown: Any) -> bool:
    """Return whether `shown` is what was sent, normalised as documented.

    Null and an empty array may become a default, an array loses repetitions, an empty text may be null, a date has
    seconds, objects get the server's ids and names.
    """
    if sent is None or sent == []:
        return True
    if isinstance(sent, dict):
        return isinstance(shown, dict) and all(shows(value, shown[name]) for name, value in sent.items())
    if isinstance(sent, list):
        unique = [value for place, value in enumerate(sent) if value not in sent[:place]]
        matching = (one for one in (sent, unique) if len(one) == len(shown or []))
        return any(all(map(shows, one, shown or [])) for one in matching)
    if isinstance(sent, bool) or isinstance(shown, bool):
        return sent is shown
    if isinstance(sent, int | float):
        return Decimal(str(sent)).quantize(Decimal("0.000001")) == Decimal(str(shown)).quantize(Decimal("0.000001"))
    return sent == shown or (sent == "" and shown is None) or _same_moment(sent, shown)


def _same_moment(sent: str, shown: str) -> bool:
    try:
        return loose_timestamp(sent) == shown
    except ValueError:
        return False


def assert_shown(entity: Entity, sent: Json, shown: Json) -> None:
    """Check that every field that was sent is shown."""
    excused = UNSHOWN.get(entity.service, set()) | OVERRIDDEN.get(entity.service, set())
    assert [name for name in sent if name not in excused and not shows(sent[name], shown[name])] == [], (sent, shown)


@pytest.mark.parametrize("entity", ENTITIES, ids=lambda entity: entity.service)
def test_accepted_bodies_are_shown_as_sent(world: World, entity: Entity) -> None:
    service = entity.service

    @FEW
    @given(st.data())
    def check(data: st.DataObject) -> None:
        if "create" in entity.operations:
            fields = {**world.body(service), **data.draw(some(fields_of(entity, "Create")), "new")}
            made = world.send("POST", service, fields, **world.owner(service))
            if made["status"] == "OK":
                assert_shown(entity, fields, made[service])
                assert world.get(service, made["id"]) == made[service]
        row_id = world.ids.get(service, 1)
        before = world.get(service, row_id)
        change = data.draw(some(fields_of(entity, "Update")), "change")
        put = world.send("PUT", service, change, id=row_id)
        after = world.get(service, row_id)
        if put["status"] == "OK":
            assert_shown(entity, change, put[service])
            assert after == put[service]
        else:
            assert after == before

    check()
    assert world.taken > world.refused / 4, (world.taken, world.refused)


@pytest.mark.parametrize("entity", ENTITIES, ids=lambda entity: entity.service)
def test_refused_bodies_write_nothing(world: World, entity: Entity) -> None:
    service = entity.service

    @FEW
    @given(st.data())
    def check(data: st.DataObject) -> None:
        fields = fields_of(entity, "Create" if "create" in entity.operations else "Update")
        name = data.draw(st.sampled_from(sorted(fields)), "field")
        bad = {name: data.draw(drawn_values.wrong(fields[name]), "value")}
        if "create" in entity.operations:
            made = world.send("POST", service, {**world.body(service), **bad}, **world.owner(service))
            assert (made["status"], made["error_id"]) == ("error", "SYNTAX"), bad
            assert name in made["error"]
        put = world.send("PUT", service, bad, id=world.ids.get(service, 1))
        assert (put["status"], put["error_id"]) == ("error", "SYNTAX"), bad
        assert name in put["error"]

    check()
