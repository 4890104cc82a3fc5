"""The counter as a process: killed again and again, told to stop, refused; and how fast it counts."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from onebyone.contracts import batches, keys
from onebyone.counter.counting import BatchTotals
from onebyone.report_store import tables
from onebyone.runtime import exit_codes
from tests.counter.harness import Harness, batch, event
from tests.support.waiting import eventually

pytestmark = pytest.mark.anyio


class Process:
    """`python -m onebyone.counter` on a harness's stores."""

    def __init__(self, harness: Harness, log: Path) -> None:
        settings = {
            "REPORT_DATABASE_URL": harness.settings.report_store_url,
            "STREAM_URL": harness.settings.stream_url,
            "SHARDS": str(harness.settings.shards),
            "DATA_DIR": str(log.parent),
        }
        with log.open("ab") as errors:
            self.popen = subprocess.Popen(
                [sys.executable, "-m", "onebyone.counter"],
                env={**os.environ, **{f"ONEBYONE_{name}": value for name, value in settings.items()}},
                stderr=errors,
            )

    def end(self, number: signal.Signals) -> int:
        """Send a signal, wait for the end and return the exit code."""
        self.popen.send_signal(number)
        return self.popen.wait(30)


@pytest.mark.parametrize("kills", [6])
async def test_a_killed_counter_counts_exactly_once(each_harness: Harness, tmp_path: Path, kills: int) -> None:
    (tmp_path / "run").mkdir()
    seed = random.SystemRandom().randrange(2**32)
    chance = random.Random(seed)
    producers = [batches.new_producer() for _ in range(3)]
    total = 0
    seqs = dict.fromkeys(producers, 0)

    def ship(number: int) -> int:
        events = 0
        for _ in range(number):
            producer = chance.choice(producers)
            seqs[producer] += 1
            size = chance.randint(1, 40)
            sent = batch(producer, seqs[producer], *(event(kind=chance.choice(("imp", "clk"))) for _ in range(size)))
            each_harness.ship(*[sent] * chance.choice((1, 1, 1, 2)))
            events += size
        return events

    for _ in range(kills):
        total += ship(60)
        running = Process(each_harness, tmp_path / "log")
        before = await each_harness.counted()

        async def counts(before: int = before) -> bool:
            return await each_harness.counted() > before

        await eventually(counts, f"the counter counts; seed {seed}")
        total += ship(60)
        time.sleep(chance.uniform(0, 0.15))  # noqa: ASYNC251
        running.end(signal.SIGKILL)
    # The last counter has work of its own, so that it is running when SIGTERM arrives.
    total += ship(60)
    running = Process(each_harness, tmp_path / "log")
    await eventually(lambda: all(each_harness.progress(name) == seq for name, seq in seqs.items()), f"all; seed {seed}")
    assert running.end(signal.SIGTERM) == 0
    assert await each_harness.counted() == total, f"seed {seed}"
    clicks = sum(row.events for row in await each_harness.rows(tables.hourly) if row.kind == "clk")
    assert len(await each_harness.rows(tables.clicks)) == clicks, f"seed {seed}"
    assert await each_harness.rows(tables.dead_letters) == []
    assert await each_harness.rows(tables.holes) == []


async def test_a_stopping_counter_drains_the_stream(harness: Harness, tmp_path: Path) -> None:
    running = Process(harness, tmp_path / "log")
    harness.send(1)
    await eventually(lambda: harness.progress() == 1, "counted")
    for seq in range(2, 200):
        harness.send(seq, *[event()] * 50)
    assert running.end(signal.SIGTERM) == 0
    assert await harness.counted() == 1 + 198 * 50
    assert harness.client.xlen(keys.events_key(0)) == 0


async def test_a_stream_server_that_may_evict_is_refused(harness: Harness, tmp_path: Path) -> None:
    harness.client.config_set("maxmemory-policy", "allkeys-lru")
    try:
        running = Process(harness, tmp_path / "log")
        assert running.popen.wait(30) == exit_codes.REFUSED
    finally:
        harness.client.config_set("maxmemory-policy", "noeviction")
    (line,) = (tmp_path / "log").read_text().splitlines()
    assert "maxmemory-policy is allkeys-lru; it must be noeviction" in line


async def test_a_counter_without_a_stream_url_is_refused(harness: Harness, tmp_path: Path) -> None:
    harness.settings.stream_url = ""
    running = Process(harness, tmp_path / "log")
    assert running.popen.wait(30) == exit_codes.REFUSED
    assert "ONEBYONE_STREAM_URL" in (tmp_path / "log").read_text()


async def test_shards_beyond_the_setting_are_counted_to_their_end(harness: Harness) -> None:
    harness.settings.shards = 3
    async with harness.counter():
        pass
    harness.settings.shards = 1
    harness.client.xadd(keys.events_key(2), batches.to_entry(batch(harness.producer, 1)))  # type: ignore[arg-type]
    await harness.drain()
    assert await harness.counted() == 1


async def test_speed_is_printed(harness: Harness, capsys: pytest.CaptureFixture[str]) -> None:
    terms = {"pricing_type": "cpm", "revenue_value": 5_000_000, "cost_cpm": 2_000_000}
    agent = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0 Safari/537.36"
    common = {"terms": terms, "ua": agent, "ip": "203.0.113.0", "cb": "123456789"}
    records = [
        event(tracker_id=number % 50 + 1, kind="clk" if number % 20 == 0 else "imp", **common) for number in range(200)
    ]
    sent = [batch(harness.producer, seq, *records) for seq in range(1, 201)]
    fields = [
        {name.encode(): value if isinstance(value, bytes) else str(value).encode() for name, value in entry.items()}
        for entry in map(batches.to_entry, sent)
    ]
    totals = BatchTotals(0)
    started = time.process_time()
    for index, entry in enumerate(fields):
        totals.add([(b"%d-1" % (index + 1), entry)], {})
    decoding = totals.events / (time.process_time() - started)
    harness.ship(*sent)
    started = time.process_time()
    await harness.drain()
    whole = 40_000 / (time.process_time() - started)
    assert await harness.counted() == 40_000
    with capsys.disabled():
        print(f"\ncounter: {decoding:,.0f} events/s of CPU decoded and tallied, {whole:,.0f} with Redis and SQLite")
