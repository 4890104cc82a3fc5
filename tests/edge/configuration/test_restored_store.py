"""The configuration store, or the cache server, is restored from a backup while edges run, and they follow it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest
import redis.asyncio
from structlog.testing import capture_logs

from onebyone.contracts import keys
from onebyone.contracts.configuration import Head
from onebyone.edge.configuration.cache import ConfigCache
from onebyone.edge.configuration.snapshot import ConfigSnapshot
from onebyone.edge.configuration.watcher import Watcher
from onebyone.runtime import redis_client
from tests.edge.edge_process import tracker
from tests.support.valkey import ValkeyProcess
from tests.support.waiting import eventually

pytestmark = pytest.mark.anyio

OLD, FUTURE, NEW = "https://landing.example/old", "https://landing.example/future", "https://landing.example/new"
Seen = Literal["step by step", "between two looks", "without announcements"]


@dataclass
class History:
    """One history of a store. Each change has a version and the time of its commit, and is queued in a transaction."""

    store_id: str = "store"
    version: int = 0
    epoch_ms: int = 1000

    @property
    def head(self) -> Head:
        return Head(self.store_id, self.version, self.epoch_ms + self.version)

    def change(self, transaction: Any, click_url: str, tracker_id: int = 1) -> None:
        """Commit and publish a click tracker."""
        self.version += 1
        key = keys.tracker_key("clk", tracker_id)
        transaction.set(key, tracker("clk", tracker_id, click_url=click_url).encode())
        transaction.xadd(keys.CHANGES, {"v": self.version, "ms": self.head.committed_ms, "keys": key})
        transaction.mset(self.head.values())

    def rebuild(self, transaction: Any, click_url: str) -> None:
        """Write the cache anew, without an announcement, as a publisher does after a restore."""
        transaction.set(keys.tracker_key("clk", 1), tracker("clk", 1, click_url=click_url).encode())
        transaction.mset(self.head.values())


@dataclass
class Edge:
    """The parts of an edge that follow the configuration."""

    watcher: Watcher
    cache: ConfigCache
    snapshot: ConfigSnapshot
    client: redis.asyncio.Redis

    async def answers(self, click_url: str) -> None:
        """Wait until clicks go to this URL."""

        async def current() -> bool:
            record = await self.cache.clicks.fetch(1)
            return record is not None and record.click_url == click_url

        await eventually(current, f"clicks go to {click_url}")

    async def keeps(self, click_url: str) -> None:
        """Wait until the snapshot on disk has this URL."""
        key = keys.tracker_key("clk", 1)
        await eventually(lambda: click_url.encode() in (self.snapshot.load(key) or b""), f"{click_url} is on disk")


@pytest.fixture
async def edge(shared_valkey: ValkeyProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Edge]:
    monkeypatch.setattr("onebyone.edge.configuration.snapshot.UPDATE_SECONDS", 0.05)
    client = redis_client.connect(shared_valkey.url)
    snapshot = ConfigSnapshot(tmp_path / "last-known.sqlite3", shared_valkey.url, 10)
    cache = ConfigCache(client, 10, snapshot)
    watcher = Watcher(client, cache)
    snapshot.start()
    running = asyncio.create_task(watcher.run())
    yield Edge(watcher, cache, snapshot, client)
    watcher.stop()
    await running
    await asyncio.to_thread(snapshot.stop)
    await client.aclose()


@pytest.mark.parametrize("seen", ["step by step", "between two looks", "without announcements"])
@pytest.mark.parametrize(
    ("store_id", "version", "changes"),
    [
        pytest.param("store", 3, 0, id="an earlier version"),
        pytest.param("store", 3, 1, id="an earlier version, changed since"),
        pytest.param("store", 3, 2, id="the same version, for another change"),
        pytest.param("store", 3, 5, id="a later version, of another history"),
        pytest.param("store", 0, 0, id="the first version"),
        pytest.param("other", 3, 0, id="another store at an earlier version"),
        pytest.param("other", 5, 0, id="another store at the same version"),
        pytest.param("other", 9, 0, id="another store at a later version"),
    ],
)
async def test_a_restored_store_is_followed(edge: Edge, store_id: str, version: int, changes: int, seen: Seen) -> None:
    history = History()
    async with edge.client.pipeline() as transaction:
        for url in (OLD, OLD, OLD, FUTURE, FUTURE):
            history.change(transaction, url)
        await transaction.execute()
    await edge.answers(FUTURE)
    await edge.keeps(FUTURE)
    restored = History(store_id, version, epoch_ms=1000 if store_id == "store" else 9000)
    with capture_logs() as lines:
        async with edge.client.pipeline() as transaction:
            restored.rebuild(transaction, OLD)
            if seen == "step by step":
                await transaction.execute()
                await edge.answers(OLD)
            restored.epoch_ms = 50_000 if changes else restored.epoch_ms
            for number in range(changes):
                restored.change(transaction, NEW, tracker_id=min(2, 1 + number))
            if seen == "without announcements":
                transaction.xtrim(keys.CHANGES, maxlen=0, approximate=False)
            await transaction.execute()
        await edge.answers(NEW if changes else OLD)
        await edge.keeps(NEW if changes else OLD)
        await eventually(lambda: edge.watcher.head == restored.head, "the head is the restored store's")
    told = [line["event"] for line in lines if line["event"].startswith("configuration went back")]
    # A later version without announcements looks like lost announcements: it is read again, and not called a restore.
    expected = (version, changes, seen) != (3, 5, "without announcements")
    assert bool(told) == (edge.watcher.reset is not None) == expected


async def test_a_cache_server_restored_from_an_older_dump_is_followed_up(edge: Edge) -> None:
    history = History()
    async with edge.client.pipeline() as transaction:
        for url in (OLD, OLD, OLD, FUTURE, FUTURE):
            history.change(transaction, url)
        await transaction.execute()
    await edge.answers(FUTURE)
    older = History(version=3)
    async with edge.client.pipeline() as transaction:
        older.rebuild(transaction, OLD)
        transaction.xtrim(keys.CHANGES, maxlen=0, approximate=False)
        await transaction.execute()
    await edge.answers(OLD)
    async with edge.client.pipeline() as transaction:
        # The publisher finds HEAD older than the store and publishes what is missing.
        older.change(transaction, FUTURE)
        older.change(transaction, FUTURE)
        await transaction.execute()
    assert older.head == history.head
    await edge.answers(FUTURE)
    await edge.keeps(FUTURE)


async def test_a_refilled_cache_of_the_same_history_is_no_restore(edge: Edge) -> None:
    history = History()
    async with edge.client.pipeline() as transaction:
        history.change(transaction, OLD)
        await transaction.execute()
    await edge.answers(OLD)
    await edge.client.flushall()
    await asyncio.sleep(0.3)
    async with edge.client.pipeline() as transaction:
        history.rebuild(transaction, OLD)
        history.change(transaction, NEW)
        await transaction.execute()
    await edge.answers(NEW)
    assert edge.watcher.reset is None
