"""A new entity is a table and its rules; the generic service does everything else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from onebyone.config_store import tables
from onebyone.resources.entities import ENTITIES
from onebyone.runtime import sql
from tests.resources import deal
from tests.support import api_contract, api_harness
from tests.support.api_harness import Harness, Json

pytestmark = pytest.mark.anyio
# The product itself has no such table.
tables.metadata.remove(deal.TABLE)


@pytest.fixture(params=["sqlite", "postgresql"])
async def api(
    store_url: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Harness]:
    """Start the API with deals."""
    for module in ("app", "openapi.document"):
        monkeypatch.setattr(f"onebyone.api.{module}.ENTITIES", (*ENTITIES, deal.Deal()))
    api_contract.forget()
    url = store_url
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_url")
        await asyncio.to_thread(lambda: asyncio.run(api_harness.prepare(url)))
    running = await api_harness.start(url)
    async with sql.writing(running.store) as connection:
        await connection.run_sync(deal.TABLE.create)
    yield running
    await running.http.aclose()
    await running.store.dispose()
    api_contract.forget()


def test_new_entity_takes_less_than_a_hundred_lines() -> None:
    assert len(Path(str(deal.__file__)).read_text().splitlines()) < 100


async def test_new_entity_has_all_features(api: Harness) -> None:
    world = await api.world()
    owner: Json = {"advertiser_id": world["advertiser"]}
    fields: Json = {
        "name": "First",
        "code": "D-1",
        "publisher": {"id": world["publisher"]},
        "budget": "12.5",
        "end_date": "2026-03-01",
        "floor": {"price": 2, "hard": True},
        "sizes": [{"id": 7}],
    }
    made = await api.create("deal", fields, **owner)
    assert made == {
        **{"id": made["id"], "member_id": 1, **owner, **fields, "state": "active", "kind": "private", "priority": 5},
        "publisher": {"id": world["publisher"], "name": "November Publisher"},
        "budget": 12.5,
        "end_date": "2026-03-01 00:00:00",
        "last_modified": made["last_modified"],
    }
    assert list(made) == list(deal.Deal.output)
    assert await api.get("deal", made["id"]) == made
    second = await api.create("deal", {"name": "Second", "kind": "open", "priority": 1}, **owner)

    for query, found in (
        ({}, [made, second]),
        ({"sort": "priority.asc"}, [second, made]),
        ({"min_budget": "12"}, [made]),
        ({"nmin_end_date": "2026-04-01"}, [second]),
        ({"kind": "open", "state": "active"}, [second]),
        ({"search": "FIR"}, [made]),
        ({"like_code": "d-"}, [made]),
        ({"code": "d-1,d-2", **owner}, [made]),
        ({"publisher_id": world["publisher"]}, [made]),
        ({"advertiser_id": "999"}, []),
    ):
        listed = await api.call("GET", "deal", **query)
        assert (listed["deals"], listed["count"], listed["dbg_info"]["warnings"]) == (found, len(found), [])

    changed = await api.put("deal", made["id"], {"floor": {"price": 3}, "sizes": [{"id": 8}]}, append="true")
    assert (changed["floor"], changed["sizes"]) == ({"price": 3, "hard": True}, [{"id": 7}, {"id": 8}])
    assert (await api.call("GET", "deal", code="d-1", **owner))["deal"] == changed
    assert (await api.call("PUT", "deal", {"deal": changed}, code="D-1", **owner))["deal"]["name"] == "First"
    meta = {field["name"]: field for field in (await api.call("GET", "deal/meta"))["fields"]}
    assert (meta["budget"]["type"], meta["floor"]["type"], meta["end_date"]["type"]) == ("money", "object", "date")
    assert (await api.delete("deal", f"{made['id']},{second['id']}"))["count"] == 2
    assert (await api.call("GET", "deal"))["count"] == 0


async def test_new_entity_refuses_invalid_input(api: Harness) -> None:
    world = await api.world()
    owner: Json = {"advertiser_id": world["advertiser"]}
    other = await api.second_member()
    theirs = await other.world()
    bad = {"name": " ", "budget": -1, "priority": "x", "floor": {"price": -2}, "publisher": {"id": theirs["publisher"]}}
    refused = await api.call("POST", "deal", {"deal": bad}, **owner)
    paths = {part.split(":")[0] for part in refused["error"].split("; ")}
    assert paths == {"name", "budget", "priority", "floor.price", "publisher.id"}
    made = await api.create("deal", {"name": "Mine", "code": "x"}, **owner)
    for fields, path in (
        ({"name": "Twice", "code": "X"}, "code"),
        ({"name": "Open", "kind": "open", "publisher": {"id": world["publisher"]}}, "publisher"),
    ):
        response = await api.call("POST", "deal", {"deal": fields}, **owner)
        assert (response["status"], response["error"].split(":")[0]) == ("error", path)
    fixed = await api.call("PUT", "deal", {"deal": {"kind": "open"}}, id=made["id"])
    assert fixed["error"] == "kind: cannot be changed"
    for method in ("GET", "PUT", "DELETE"):
        unseen = await other.call(method, "deal", {"deal": {"name": "Theirs"}}, id=made["id"])
        assert unseen["error"] == f"deal id not found: {made['id']}"
