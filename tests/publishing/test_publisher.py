"""The publisher on a real cache server: from a committed change to its record, and the repair of the cache."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from onebyone.api.app import Api
from onebyone.contracts import keys
from onebyone.contracts.configuration import Head, MemberRecord, TrackerRecord
from onebyone.contracts.events import Kind
from onebyone.publishing.publisher import ConfigPublisher
from onebyone.runtime import redis_client
from tests.support.api_harness import Harness, Json
from tests.support.valkey import ValkeyProcess

pytestmark = pytest.mark.anyio
LIVE_SECONDS = 10.0
"""Time until a test calls a record missing; usually it is there within a fraction of a second."""


async def eventually(holds: Callable[[], Awaitable[bool]]) -> float:
    """Wait until `holds()` is true and return the seconds that it took."""
    started = time.monotonic()
    while not await holds():
        assert time.monotonic() - started < LIVE_SECONDS, "did not happen"
        await asyncio.sleep(0.01)
    return time.monotonic() - started


class Cache:
    """Reads the cache as an edge does."""

    def __init__(self, client: Any) -> None:
        self.client = client

    async def tracker(self, kind: Kind, tracker_id: int) -> TrackerRecord | None:
        text = await self.client.get(keys.tracker_key(kind, tracker_id))
        return None if text is None else TrackerRecord.decode(text)

    async def member(self, member_id: int = 1) -> MemberRecord | None:
        text = await self.client.get(keys.member_key(member_id))
        return None if text is None else MemberRecord.decode(text)

    async def head(self) -> Head | None:
        text = await self.client.get(keys.HEAD)
        return None if text is None else Head.decode(text)


@pytest.fixture
async def cache(valkey: ValkeyProcess) -> AsyncIterator[Cache]:
    client = redis_client.connect(valkey.url)
    yield Cache(client)
    await client.aclose()


@pytest.fixture
async def published(api: Harness, valkey: ValkeyProcess) -> AsyncIterator[Harness]:
    """Return the API with a running publisher."""
    client = redis_client.connect(valkey.url)
    publisher = ConfigPublisher(api.store, client)
    api.http._transport.app = Api(replace(api.context, publisher=publisher), api.http._transport.app._operator)  # type: ignore[attr-defined]
    running = asyncio.create_task(publisher.run())
    await asyncio.wait_for(publisher.published.wait(), LIVE_SECONDS)
    yield api
    await publisher.finish(running)
    await client.aclose()


async def test_tracker_is_published_changed_and_deleted(published: Harness, cache: Cache) -> None:
    api = published
    world = await api.world()
    tracker = await api.tracker("clicktracker", world, click_url="https://a.example/x", tag={"id": world["placement"]})
    row_id = tracker["id"]

    async def live() -> bool:
        return await cache.tracker("clk", row_id) is not None

    await eventually(live)
    assert await cache.tracker("clk", row_id) == TrackerRecord(
        id=row_id,
        kind="clk",
        active=True,
        member_id=1,
        advertiser_id=world["advertiser"],
        line_item_id=world["line-item"],
        insertion_order_id=0,
        publisher_id=world["publisher"],
        site_id=world["site"],
        tag_id=world["placement"],
        payment_rule_id=world["payment-rule"],
        click_url="https://a.example/x",
    )
    member = await cache.member()
    assert member is not None
    assert member.click_hosts == ("a.example",)

    await api.put(
        "clicktracker", row_id, {"state": "inactive", "tag": None, "click_url": "https://bücher.example/../ü"}
    )

    async def changed() -> bool:
        record = await cache.tracker("clk", row_id)
        return record is not None and not record.active

    await eventually(changed)
    record, member = await cache.tracker("clk", row_id), await cache.member()
    assert record is not None
    assert (record.tag_id, record.site_id) == (0, world["site"])
    assert record.click_url == "https://xn--bcher-kva.example/../%C3%BC"
    assert member is not None
    assert member.click_hosts == ("xn--bcher-kva.example",)

    await api.delete("line-item", world["line-item"])

    async def gone() -> bool:
        return await cache.tracker("clk", row_id) is None

    await eventually(gone)
    entries = await cache.client.xrange(keys.CHANGES)
    head = await cache.head()
    assert head is not None
    assert int(entries[-1][1][b"v"]) == head.version
    assert keys.tracker_key("clk", row_id) in entries[-1][1][b"keys"].decode().split()


async def test_terms_from_line_item_payment_rule_and_publisher(published: Harness, cache: Cache) -> None:
    api = published
    world = await api.world()
    row_id = (await api.tracker("imptracker", world))["id"]

    async def shows(**expected: object) -> None:
        async def equal() -> bool:
            record = await cache.tracker("imp", row_id)
            return record is not None and {name: getattr(record, name) for name in expected} == expected

        await eventually(equal)

    await shows(terms={}, payment_rule_id=world["payment-rule"])
    await api.put("line-item", world["line-item"], {"revenue_type": "cpm", "revenue_value": "2.5"})
    await shows(terms={"pricing_type": "cpm", "revenue_value": 2_500_000})
    await api.put("payment-rule", world["payment-rule"], {"revshare": 0.25})
    await shows(terms={"pricing_type": "cpm", "revenue_value": 2_500_000, "revshare": 250_000})
    rule = await api.create(
        "payment-rule", {"name": "R", "pricing_type": "cpm", "cost_cpm": 0.4}, publisher_id=world["publisher"]
    )
    await api.put("imptracker", row_id, {"payment_rule": {"id": rule["id"]}})
    await shows(
        payment_rule_id=rule["id"], terms={"pricing_type": "cpm", "revenue_value": 2_500_000, "cost_cpm": 400_000}
    )
    await api.put("payment-rule", rule["id"], {"cost_cpm": 1})
    await api.put("line-item", world["line-item"], {"revenue_value": 0})
    await shows(terms={"cost_cpm": 1_000_000})
    site = await api.create("site", {"name": "S"}, publisher_id=world["publisher"])
    await api.put("publisher", world["publisher"], {"default_site_id": site["id"]})
    await shows(site_id=site["id"])
    await api.put("imptracker", row_id, {"tag": {"id": world["placement"]}})
    await shows(site_id=world["site"], tag_id=world["placement"])
    await api.put("placement", world["placement"], {"site_id": site["id"]})
    await shows(site_id=site["id"])


async def test_redirect_rules_of_member(published: Harness, cache: Cache) -> None:
    await published.put("member", 1, {"redirect_policy": "any", "redirect_domains": ["example.com"]})

    async def live() -> bool:
        return await cache.member() == MemberRecord(1, "any", ("example.com",))

    await eventually(live)


@pytest.mark.parametrize("damage", ["everything", "head", "store", "ahead", "garbage"])
async def test_damaged_cache_is_repaired(published: Harness, cache: Cache, damage: str) -> None:
    world: Json = await published.world()
    row_id = (await published.tracker("imptracker", world))["id"]

    async def live() -> bool:
        return await cache.tracker("imp", row_id) is not None and await cache.head() is not None

    await eventually(live)
    head = await cache.head()
    assert head is not None
    stray = keys.tracker_key("imp", 987_654)
    await cache.client.set(stray, b"{}")
    match damage:
        case "everything":
            await cache.client.flushall()
        case "head":
            await cache.client.delete(keys.HEAD)
        case "store":
            await cache.client.set(keys.HEAD, Head("another", head.version).encode())
        case "ahead":
            await cache.client.set(keys.HEAD, Head(head.store_id, head.version + 5).encode())
        case _:
            await cache.client.set(keys.HEAD, b"no head")

    async def repaired() -> bool:
        text = await cache.client.get(keys.HEAD)
        return bool(text == head.encode().encode() and not await cache.client.exists(stray) and await live())

    await eventually(repaired)


async def test_lost_changes_are_published_again(published: Harness, cache: Cache) -> None:
    world = await published.world()
    first = await published.tracker("imptracker", world)
    await eventually(lambda: _all_published(published, cache))
    before = await cache.head()
    second = await published.tracker("imptracker", world)
    await eventually(lambda: _all_published(published, cache))
    assert before is not None
    async with cache.client.pipeline() as pipe:
        pipe.delete(keys.tracker_key("imp", second["id"])).set(keys.HEAD, before.encode())
        await pipe.execute()
    await eventually(lambda: _all_published(published, cache))
    assert await cache.tracker("imp", second["id"]) is not None
    assert await cache.tracker("imp", first["id"]) is not None


async def _all_published(api: Harness, cache: Cache) -> bool:
    async with api.store.connect() as connection:
        version = (await connection.exec_driver_sql("SELECT version FROM store_state")).scalar_one()
    head = await cache.head()
    return head is not None and head.version == version


async def test_changes_during_outage_are_published_later(
    published: Harness, cache: Cache, valkey: ValkeyProcess
) -> None:
    world = await published.world()
    valkey.kill()
    row_id = (await published.tracker("imptracker", world))["id"]
    valkey.restart()

    async def live() -> bool:
        try:
            return await cache.tracker("imp", row_id) is not None
        except redis_client.Unavailable:
            return False

    await eventually(live)


async def test_concurrent_publishers(published: Harness, cache: Cache, valkey: ValkeyProcess) -> None:
    client = redis_client.connect(valkey.url)
    second = ConfigPublisher(published.store, client)
    running = asyncio.create_task(second.run())
    world = await published.world()
    made = await asyncio.gather(*(published.tracker("imptracker", world, name=f"T{n}") for n in range(30)))
    for tracker in made:
        await published.put("imptracker", tracker["id"], {"state": "inactive"})
    await eventually(lambda: _all_published(published, cache))
    for tracker in made:
        record = await cache.tracker("imp", tracker["id"])
        assert record is not None
        assert not record.active
    versions = [int(fields[b"v"]) for _, fields in await cache.client.xrange(keys.CHANGES)]
    assert versions == sorted(set(versions))
    await second.finish(running)
    await client.aclose()
