"""The configuration snapshot on disk, which an edge uses if it starts while the cache server is unreachable."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
from pathlib import Path
from typing import cast

import httpx
import pytest

from onebyone.contracts import keys
from onebyone.contracts.configuration import Head, MemberRecord
from onebyone.edge.configuration.cache import ConfigCache
from onebyone.edge.configuration.snapshot import ConfigSnapshot
from onebyone.runtime import redis_client
from tests.edge.edge_process import EdgeProcess, Publisher, tracker
from tests.support.valkey import ValkeyProcess
from tests.support.waiting import wait_until

OLD, NEW = "https://landing.example/old", "https://landing.example/new"


def verdict(edge: EdgeProcess, path: str) -> str:
    return str(edge.get(path).headers["x-onebyone"])


def location(edge: EdgeProcess, tracker_id: int = 1) -> str | None:
    target: str | None = edge.get(f"/clktr?id={tracker_id}").headers.get("location")
    return target


def records_on_disk(data_dir: Path) -> dict[str, bytes]:
    path = data_dir / "last-known.sqlite3"
    with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(path, timeout=20)) as file:
        return dict(file.execute("SELECT key, text FROM records"))
    return {}


def test_an_edge_that_starts_without_the_cache_server_uses_the_snapshot(
    edge: EdgeProcess, publisher: Publisher, valkey: ValkeyProcess
) -> None:
    publisher.publish(MemberRecord(7, redirect_domains=("partner.example",)), tracker("imp", 1))
    publisher.publish(tracker("clk", 1, click_url=OLD))
    partner = "/clktr?id=1&redir=https://partner.example/x"
    wait_until(lambda: edge.get(partner).status_code == 302, "the click tracker is live")
    wait_until(lambda: verdict(edge, "/imptr?id=1") == "recorded", "the impression tracker is live")
    wait_until(lambda: len(records_on_disk(edge.data_dir)) == 3, "trackers and member are on disk")
    edge.kill()
    valkey.kill()
    edge.start()
    state = httpx.get(f"{edge.url}/readyz").json()
    assert state["checks"]["configuration"] is True
    assert state["configuration_seconds"] > 0
    assert verdict(edge, "/imptr?id=1") == "recorded"
    click = edge.get(partner)
    assert (click.headers["location"], click.headers["x-onebyone"]) == ("https://partner.example/x", "recorded")
    assert location(edge) == OLD
    unknown = edge.get("/imptr?id=2")
    assert (unknown.status_code, unknown.headers["x-onebyone"]) == (503, "ignored; reason=config")
    page = httpx.get(f"{edge.url}/metrics").text
    assert "onebyone_edge_recalled_total 3.0" in page
    valkey.start()
    publisher.publish(tracker("clk", 1, click_url=NEW))
    wait_until(lambda: location(edge) == NEW, "a live answer wins")
    wait_until(lambda: httpx.get(f"{edge.url}/readyz").json()["configuration_seconds"] < 2, "all is current again")


def test_a_reachable_cache_server_takes_precedence_over_the_snapshot(
    edge: EdgeProcess, publisher: Publisher, valkey: ValkeyProcess
) -> None:
    publisher.publish(tracker("clk", 1, click_url=OLD))
    wait_until(lambda: location(edge) == OLD, "live")
    edge.stop()
    assert records_on_disk(edge.data_dir)
    publisher.publish(tracker("clk", 1, click_url=NEW))
    edge.start()
    assert location(edge) == NEW


@pytest.mark.parametrize("lost", [False, True], ids=["announced", "message lost"])
def test_changes_reach_the_snapshot_without_a_request(edge: EdgeProcess, publisher: Publisher, lost: bool) -> None:
    publisher.publish(tracker("clk", 1, click_url=OLD), tracker("clk", 2, click_url=OLD))
    wait_until(lambda: location(edge, 1) == location(edge, 2) == OLD, "live")
    wait_until(lambda: len(records_on_disk(edge.data_dir)) == 2, "on disk")
    changed = tracker("clk", 1, click_url=NEW)
    if lost:
        publisher.version += 1
        publisher.client.set(keys.tracker_key("clk", 1), changed.encode())
        publisher.client.delete(keys.tracker_key("clk", 2))
        publisher.client.set(keys.HEAD, Head("store", publisher.version).encode())
    else:
        publisher.publish(changed, deleted=(keys.tracker_key("clk", 2),))
    wait_until(
        lambda: records_on_disk(edge.data_dir) == {keys.tracker_key("clk", 1): changed.encode()}, "changed and deleted"
    )


def test_another_store_replaces_the_snapshot(edge: EdgeProcess, publisher: Publisher) -> None:
    publisher.publish(tracker("imp", 1), tracker("imp", 2))
    wait_until(lambda: verdict(edge, "/imptr?id=1") == "recorded", "live")
    wait_until(lambda: records_on_disk(edge.data_dir), "on disk")
    publisher.client.set(keys.HEAD, Head("other", 1).encode())
    assert verdict(edge, "/imptr?id=2") == "recorded"
    wait_until(
        lambda: list(records_on_disk(edge.data_dir)) == [keys.tracker_key("imp", 2)], "only what the other store has"
    )


@pytest.mark.parametrize("damage", [b"rubbish" * 1000, b""], ids=["damaged", "empty"])
def test_a_damaged_file_is_replaced(valkey: ValkeyProcess, publisher: Publisher, tmp_path: Path, damage: bytes) -> None:
    publisher.publish(tracker("imp", 1))
    path = tmp_path / "last-known.sqlite3"
    path.write_bytes(damage)
    snapshot = ConfigSnapshot(path, valkey.url, 8)
    assert snapshot.state() is None
    assert snapshot.load(keys.tracker_key("imp", 1)) is None
    snapshot.start()
    snapshot.remember(keys.tracker_key("imp", 1))
    wait_until(lambda: records_on_disk(tmp_path), "kept again")
    snapshot.stop()


def test_a_limit_of_zero_keeps_no_snapshot(valkey: ValkeyProcess, publisher: Publisher, tmp_path: Path) -> None:
    publisher.publish(tracker("imp", 1))
    edge = EdgeProcess(tmp_path, valkey.url, last_known_records="0")
    edge.start()
    assert verdict(edge, "/imptr?id=1") == "recorded"
    assert edge.stop() == 0
    assert not list(tmp_path.glob("last-known*"))
    edge.listener.close()


def test_the_snapshot_keeps_at_most_the_allowed_number_of_records(
    valkey: ValkeyProcess, publisher: Publisher, tmp_path: Path
) -> None:
    publisher.publish(*(tracker("imp", number) for number in range(1, 21)))
    path = tmp_path / "last-known.sqlite3"
    for start in (1, 11):
        snapshot = ConfigSnapshot(path, valkey.url, 8)
        snapshot.start()
        for number in range(start, start + 10):
            snapshot.remember(keys.tracker_key("imp", number))
        snapshot.stop()
    assert set(records_on_disk(tmp_path)) == {keys.tracker_key("imp", number) for number in range(11, 19)}


def test_a_drained_edge_writes_its_last_records(edge: EdgeProcess, publisher: Publisher) -> None:
    publisher.publish(tracker("imp", 1))
    wait_until(lambda: verdict(edge, "/imptr?id=1") == "recorded", "live")
    assert edge.stop() == 0
    assert list(records_on_disk(edge.data_dir)) == [keys.tracker_key("imp", 1)]


class SlowSnapshot:
    """A snapshot without records, which hangs when asked for the first impression tracker."""

    def __init__(self) -> None:
        self.is_asked, self.may_respond = threading.Event(), threading.Event()

    def remember(self, key: str) -> None:
        pass

    def load(self, key: str) -> None:
        if key == keys.tracker_key("imp", 1):
            self.is_asked.set()
            self.may_respond.wait(20)


@pytest.mark.anyio
async def test_the_cache_server_returns_while_the_snapshot_is_read(valkey: ValkeyProcess, publisher: Publisher) -> None:
    publisher.publish(tracker("imp", 1), tracker("imp", 2))
    snapshot = SlowSnapshot()
    client = redis_client.connect(valkey.url, reply_seconds=5)
    records = ConfigCache(client, 10, cast(ConfigSnapshot, snapshot)).impressions
    await asyncio.to_thread(valkey.stop)
    first = asyncio.create_task(records.fetch(1))
    assert await asyncio.to_thread(snapshot.is_asked.wait, 20)
    await asyncio.to_thread(valkey.start)
    assert await records.fetch(2) is not None
    snapshot.may_respond.set()
    assert await first is not None
    await client.aclose()
