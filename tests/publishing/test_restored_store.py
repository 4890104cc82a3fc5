"""The configuration store is restored from a dump: the publisher rebuilds the cache, whatever version HEAD names."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import Connection, insert, select

from onebyone.config_store import tables
from onebyone.config_store.store_head import read_store_head
from onebyone.contracts import keys
from onebyone.contracts.configuration import Head, TrackerRecord
from onebyone.publishing.publisher import ConfigPublisher
from onebyone.runtime import redis_client, sql
from tests.support.api_harness import Harness
from tests.support.valkey import ValkeyProcess

pytestmark = pytest.mark.anyio

Dump = dict[str, list[dict[str, Any]]]


@pytest.fixture
async def cache(shared_valkey: ValkeyProcess) -> AsyncIterator[Any]:
    client = redis_client.connect(shared_valkey.url)
    yield client
    await client.aclose()


def _dump(connection: Connection) -> Dump:
    return {
        table.name: [dict(row) for row in connection.execute(select(table)).mappings()]
        for table in tables.metadata.sorted_tables
    }


def _restore(connection: Connection, dump: Dump) -> None:
    for table in reversed(tables.metadata.sorted_tables):
        connection.execute(table.delete())
    for table in tables.metadata.sorted_tables:
        if dump[table.name]:
            connection.execute(insert(table), dump[table.name])


async def _publish(publisher: ConfigPublisher) -> None:
    while await publisher.run_pass():
        pass


@pytest.mark.parametrize("store_url", ["sqlite", "postgresql"], indirect=True)
@pytest.mark.parametrize("changes", [0, 1, 3, 9], ids=["no change", "fewer", "as many", "more"])
async def test_a_restored_dump_is_published(api: Harness, cache: Any, changes: int) -> None:
    """Changes after the restore and before the publisher looks, against three that the restore discards."""
    publisher = ConfigPublisher(api.store, cache)
    row_id = (await api.tracker("clicktracker", await api.world(), click_url="https://a.example/old"))["id"]
    await _publish(publisher)
    async with sql.reading(api.store, snapshot=True) as connection:
        dump = await connection.run_sync(_dump)
    for number in range(3):
        await api.put("clicktracker", row_id, {"click_url": f"https://a.example/future{number}"})
        await _publish(publisher)
    async with sql.writing(api.store) as connection:
        await connection.run_sync(_restore, dump)
    for number in range(changes):
        await api.put("clicktracker", row_id, {"state": "active" if number % 2 else "inactive"})
    await _publish(publisher)
    record = TrackerRecord.decode(await cache.get(keys.tracker_key("clk", row_id)))
    assert (record.click_url, record.active) == ("https://a.example/old", changes % 2 == 0)
    async with sql.reading(api.store) as connection:
        head = await read_store_head(connection)
    assert Head.decode(*await cache.mget(keys.HEAD, keys.HEAD_COMMITTED)) == head
    assert head.committed_ms > 0


async def test_the_outbox_keeps_when_the_last_version_was_committed(
    api: Harness, cache: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = await api.world()
    await api.tracker("imptracker", world)
    publisher = ConfigPublisher(api.store, cache)
    monkeypatch.setattr("onebyone.publishing.publisher.OUTBOX_RETENTION_MS", -60_000)
    await _publish(publisher)
    before = await cache.mget(keys.HEAD, keys.HEAD_COMMITTED)
    async with sql.reading(api.store) as connection:
        rows = (await connection.execute(select(tables.outbox.c.version))).all()
        head = await read_store_head(connection)
    assert [row.version for row in rows] == [head.version]
    await api.tracker("imptracker", world, name="later")
    await cache.delete(keys.CHANGES)
    await _publish(publisher)
    assert await cache.exists(keys.CHANGES), "published from the outbox, without a rebuild"
    assert before != await cache.mget(keys.HEAD, keys.HEAD_COMMITTED)
