"""The engine without HTTP, as a face other than the API uses it: typed arguments and a caller in, plain results out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import pytest

from onebyone.auth.caller import Caller
from onebyone.errors import (
    Fault,
    Forbidden,
    ForbiddenOperation,
    LimitReached,
    MissingArgument,
    NotFound,
    Refused,
    UnsupportedOperation,
)
from onebyone.resources.context import EngineContext
from onebyone.resources.entities.advertiser import Advertiser
from onebyone.resources.entities.line_item import LineItem
from onebyone.resources.entities.member import Member
from onebyone.resources.entities.publisher import Publisher
from onebyone.resources.entities.tracker import Clicktracker, Imptracker
from onebyone.resources.entity import Values
from onebyone.resources.paging import Page, Query
from onebyone.resources.service import Resources, Target
from onebyone.runtime import sql
from onebyone.settings import Settings

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.parametrize("store_url", ["sqlite", "postgresql"], indirect=True),
]
ADVERTISER, LINE_ITEM, PUBLISHER = Advertiser(), LineItem(), Publisher()
IMPTRACKER, CLICKTRACKER = Imptracker(), Clicktracker()
CALLER = Caller(user_id=1, username="admin", name="Admin", member_id=1, timezone="UTC")


@dataclass
class Wakes:
    """Counts how often the publisher is woken."""

    count: int = 0

    def wake(self) -> None:
        self.count += 1


@pytest.fixture
def wakes() -> Wakes:
    return Wakes()


@pytest.fixture
async def context(store_url: str, wakes: Wakes) -> AsyncIterator[EngineContext]:
    """Return the engine's context on a prepared store."""
    store = sql.create_engine(store_url)
    yield EngineContext(Settings(database_url=store_url), store, store, wakes)
    await store.dispose()


@pytest.fixture
def resources(context: EngineContext) -> Resources:
    return Resources(context)


async def create_line_item(resources: Resources) -> tuple[int, Values]:
    """Return the id of an advertiser, and the fields of a tracker for its line item."""
    advertiser = await resources.create(ADVERTISER, CALLER, {"name": "Advertiser"})
    owners = {"advertiser_id": str(advertiser.id)}
    line_item = await resources.create(LINE_ITEM, CALLER, {"name": "Line item"}, owners=owners)
    publisher = await resources.create(PUBLISHER, CALLER, {"name": "Publisher"})
    return advertiser.id, {"name": "T", "line_item": {"id": line_item.id}, "publisher": {"id": publisher.id}}


async def test_create_get_update_delete(resources: Resources, wakes: Wakes) -> None:
    advertiser_id, fields = await create_line_item(resources)
    before = wakes.count
    created = await resources.create(IMPTRACKER, CALLER, fields, owners={"advertiser_id": str(advertiser_id)})
    assert wakes.count == before + 1
    assert created.object["name"] == "T"
    assert created.object["advertiser_id"] == advertiser_id
    assert await resources.get(IMPTRACKER, CALLER, created.id) == created.object

    updated = await resources.update(IMPTRACKER, CALLER, Target([created.id]), {"name": "U", "code": "C1"})
    assert (updated.id, updated.object["name"], updated.object["line_item"]) == (
        created.id,
        "U",
        created.object["line_item"],
    )
    by_code = await resources.update(IMPTRACKER, CALLER, Target(code="c1"), {"state": "inactive"})
    assert (by_code.id, by_code.object["state"]) == (created.id, "inactive")

    assert await resources.delete(IMPTRACKER, CALLER, Target([created.id])) == 1
    with pytest.raises(NotFound, match=f"imptracker id not found: {created.id}"):
        await resources.get(IMPTRACKER, CALLER, created.id)


async def test_list_filters_sorts_and_pages(resources: Resources) -> None:
    ids = [
        (await resources.create(ADVERTISER, CALLER, {"name": name, "state": state})).id
        for name, state in [("b", "active"), ("a", "active"), ("c", "inactive"), ("d", "active")]
    ]
    warnings: list[str] = []
    query = Query(
        {"state": "active", "planet": "x"}, sort=("name.desc",), page=Page(1, 2), fields=("id", "name", "moon")
    )
    listing = await resources.list(ADVERTISER, CALLER, query, warnings=warnings)
    assert (listing.total, listing.page) == (3, Page(1, 2))
    assert listing.objects == [{"id": ids[0], "name": "b"}, {"id": ids[1], "name": "a"}]
    assert warnings == ["fields: no such field: moon", "query parameter not used: planet"]
    everything = await resources.list(ADVERTISER, CALLER)
    assert [found["id"] for found in everything.objects] == ids
    with pytest.raises(Refused) as refused:
        await resources.list(ADVERTISER, CALLER, Query(sort=("moon",)))
    assert refused.value.faults == (Fault("sort", "cannot sort by 'moon'"),)


async def test_faults_are_data_and_refused_writes_change_nothing(resources: Resources, wakes: Wakes) -> None:
    advertiser_id, fields = await create_line_item(resources)
    before = wakes.count
    values = {**fields, "name": "", "publisher": {"id": 999}, "click_url": "ftp://x", "moon": 1}
    warnings: list[str] = []
    with pytest.raises(Refused) as refused:
        await resources.create(
            CLICKTRACKER, CALLER, values, owners={"advertiser_id": str(advertiser_id)}, warnings=warnings
        )
    faults = {fault.path: fault for fault in refused.value.faults}
    assert faults.keys() == {"name", "click_url", "publisher.id"}
    assert faults["publisher.id"] == Fault("publisher.id", "publisher id not found: 999", "invalid")
    assert warnings == ["unknown field not used: clicktracker.moon"]
    with pytest.raises(Refused) as refused:
        await resources.create(CLICKTRACKER, CALLER, fields)
    assert refused.value.faults == (Fault("advertiser_id", "required", "no owner"),)
    with pytest.raises(MissingArgument, match="object required to create clicktracker"):
        await resources.create(CLICKTRACKER, CALLER, None)
    with pytest.raises(MissingArgument, match="id required to update clicktracker"):
        await resources.update(CLICKTRACKER, CALLER, Target(), {})
    assert (await resources.list(CLICKTRACKER, CALLER)).total == 0
    assert wakes.count == before


async def test_conflicts_have_their_own_kind(resources: Resources) -> None:
    first = await resources.create(ADVERTISER, CALLER, {"name": "A", "code": "X"})
    with pytest.raises(Refused) as refused:
        await resources.create(ADVERTISER, CALLER, {"name": "B", "code": "x"})
    assert refused.value.faults == (Fault("code", f"already used by advertiser {first.id}", "conflict"),)
    _, fields = await create_line_item(resources)
    publisher_id = fields["publisher"]["id"]
    owners = {"advertiser_id": str((await resources.list(LINE_ITEM, CALLER)).objects[0]["advertiser_id"])}
    await resources.create(IMPTRACKER, CALLER, fields, owners=owners)
    with pytest.raises(Refused) as refused:
        await resources.delete(PUBLISHER, CALLER, Target([publisher_id]))
    assert refused.value.faults == (Fault("id", "a tracker still uses the publisher", "conflict"),)
    assert (await resources.get(PUBLISHER, CALLER, publisher_id))["id"] == publisher_id


async def test_callers_are_limited_to_their_own_objects(resources: Resources, context: EngineContext) -> None:
    own = await resources.create(ADVERTISER, CALLER, {"name": "Own"})
    other = await resources.create(ADVERTISER, CALLER, {"name": "Other"})
    limited = replace(CALLER, limit=("advertiser_id", own.id))
    assert [found["id"] for found in (await resources.list(ADVERTISER, limited)).objects] == [own.id]
    with pytest.raises(NotFound):
        await resources.get(ADVERTISER, limited, other.id)
    with pytest.raises(NotFound):
        await resources.update(ADVERTISER, limited, Target([other.id]), {"name": "Mine"})
    with pytest.raises(Forbidden, match="may not use publisher"):
        await resources.list(PUBLISHER, limited)
    with pytest.raises(Forbidden, match="read-only"):
        await resources.create(ADVERTISER, replace(CALLER, read_only=True), {"name": "A"})
    with pytest.raises(NotFound):
        await resources.get(ADVERTISER, replace(CALLER, member_id=2), own.id)
    with pytest.raises(ForbiddenOperation, match="may not create advertiser"):
        await resources.create(ADVERTISER, limited, {"name": "Second"})
    with pytest.raises(UnsupportedOperation, match="member has no operation delete"):
        await resources.delete(Member(), CALLER, Target([1]))
    settings = context.settings.model_copy(update={"limits": {"advertiser": 2}})
    with pytest.raises(LimitReached, match="limit of 2"):
        await Resources(replace(context, settings=settings)).create(ADVERTISER, CALLER, {"name": "Third"})
