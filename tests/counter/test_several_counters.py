"""Two and three counter processes on one store: one is killed, stopped and let go on, or joins under load."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from onebyone.contracts import batches, keys
from onebyone.counter.shard_leases import SILENT_SECONDS
from onebyone.report_store import tables
from onebyone.runtime import sql
from tests.counter.harness import Harness, batch, event
from tests.counter.test_process import Process
from tests.support.waiting import eventually

pytestmark = [pytest.mark.anyio, pytest.mark.processes, pytest.mark.timeout(120)]

SHARDS = 4
MOVED_SECONDS = 30.0
"""Bound on waiting for a move, which takes `SILENT_SECONDS` and some: this machine may be busy."""


class Traffic:
    """Batches to all shards, from another thread, until stopped."""

    def __init__(self, harness: Harness) -> None:
        self.sent: dict[str, int] = {}
        self._harness = harness
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Traffic:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        producers = [batches.new_producer() for _ in range(SHARDS)]
        while not self._stop.wait(0.02):
            for shard, producer in enumerate(producers):
                self.sent[producer] = self.sent.get(producer, 0) + 1
                entry: Any = batches.to_entry(batch(producer, self.sent[producer], event(), event()))
                self._harness.client.xadd(keys.events_key(shard), entry)


class Counters:
    """The counter processes of a test, whose logs are in files of their own."""

    def __init__(self, harness: Harness, folder: Path) -> None:
        self._harness = harness
        self._folder = folder
        self.running: list[Process] = []

    def start(self) -> Process:
        """Start one more, as on another machine: without a data folder in common."""
        folder = self._folder / f"machine-{len(self.running)}"
        folder.mkdir()
        self.running.append(Process(self._harness, folder / "log"))
        return self.running[-1]

    def logs(self) -> str:
        """Return what all have logged."""
        return "".join(path.read_text() for path in sorted(self._folder.glob("machine-*/log")))

    async def owners(self) -> list[str]:
        """Return the owner of each shard."""
        async with sql.reading(self._harness.engine) as connection:
            rows = await connection.execute(select(tables.positions.c.owner).order_by(tables.positions.c.shard))
            return list(rows.scalars())

    async def shared_by(self, number: int) -> bool:
        """Return whether so many counters own all shards in even shares."""
        owners = await self.owners()
        sizes = [owners.count(name) for name in {*owners}]
        return len(owners) == SHARDS and "" not in owners and len(sizes) == number and max(sizes) - min(sizes) <= 1

    def end(self) -> None:
        """Kill what still runs."""
        for process in self.running:
            if process.popen.poll() is None:
                process.end(signal.SIGKILL)


@pytest.fixture
def machines(each_harness: Harness, tmp_path: Path) -> Iterator[Counters]:
    """Counter processes on each kind of store."""
    each_harness.settings.shards = SHARDS
    counters = Counters(each_harness, tmp_path)
    yield counters
    counters.end()


async def test_counters_join_die_and_come_back_under_load(each_harness: Harness, machines: Counters) -> None:
    with Traffic(each_harness) as traffic:
        first = machines.start()
        await eventually(lambda: machines.shared_by(1), "one owns all shards", MOVED_SECONDS)
        second = machines.start()
        await eventually(lambda: machines.shared_by(2), "two share", MOVED_SECONDS)
        machines.start()
        await eventually(lambda: machines.shared_by(3), "three share", MOVED_SECONDS)
        time.sleep(1)  # noqa: ASYNC251
        before = machines.logs()
        time.sleep(2)  # noqa: ASYNC251
        assert machines.logs() == before, "nothing happens while nothing changes"
        first.end(signal.SIGKILL)
        began = time.monotonic()
        await eventually(lambda: machines.shared_by(2), "the others take the shards of the dead one", MOVED_SECONDS)
        print(f"moved after {time.monotonic() - began:.1f} s; silent for {SILENT_SECONDS}")
        assert second.end(signal.SIGTERM) == 0
        await eventually(lambda: machines.shared_by(1), "a clean stop frees its shards", MOVED_SECONDS)
    await _all_counted_once(each_harness, traffic)
    assert "another counter has counted this shard" not in machines.logs()


async def test_a_stopped_counter_that_goes_on_counts_nothing(each_harness: Harness, machines: Counters) -> None:
    zombie = machines.start()
    await eventually(lambda: machines.shared_by(1), "one owns all shards", MOVED_SECONDS)
    await _stop_between_commits(zombie, each_harness)
    machines.start()
    owner = (await machines.owners())[0]
    with Traffic(each_harness) as traffic:
        await eventually(lambda: _moved(machines, owner), "the shards move", MOVED_SECONDS)
        zombie.popen.send_signal(signal.SIGCONT)
        await eventually(lambda: machines.shared_by(2), "it joins again", MOVED_SECONDS)
    await _all_counted_once(each_harness, traffic)
    assert machines.logs().count("the lease of a shard is lost") == SHARDS


async def _stop_between_commits(counter: Process, harness: Harness) -> None:
    """Stop a counter outside a transaction: on SQLite, one inside would keep all others from writing."""
    for _ in range(50):
        counter.popen.send_signal(signal.SIGSTOP)
        if harness.engine.dialect.name != "sqlite" or _is_writable(str(harness.engine.url.database)):
            return
        counter.popen.send_signal(signal.SIGCONT)
        await asyncio.sleep(0.05)
    pytest.fail("the counter was inside a transaction each time that it was stopped")


def _is_writable(path: str) -> bool:
    with contextlib.closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as store:
        try:
            store.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return False
        store.execute("ROLLBACK")
        return True


async def _moved(machines: Counters, owner: str) -> bool:
    owners = await machines.owners()
    return owner not in owners and "" not in owners


async def _all_counted_once(harness: Harness, traffic: Traffic) -> None:
    expected = 2 * sum(traffic.sent.values())

    async def counted() -> bool:
        return await harness.counted() >= expected

    await eventually(counted, "everything is counted", MOVED_SECONDS)
    assert await harness.counted() == expected
    assert await harness.rows(tables.holes) == []
