"""Measure a counter on a full stream: events per second of CPU into SQLite, and the functions that take that time.

`python -m tests.faults.catch_up --events 1000000 --profile` prints both. Read the wall time on an idle machine, and
the CPU time on a busy one.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import pstats
import tempfile
import time
from pathlib import Path

import orjson

from onebyone.contracts import batches, keys
from onebyone.contracts.configuration import TrackerRecord
from onebyone.counter import process
from onebyone.edge.journal import event_ids
from onebyone.settings import Settings
from tests.edge.edge_process import tracker
from tests.support import process_guard
from tests.support.valkey import ValkeyProcess, start_valkey

BATCH = 200
"""Events of one group commit of a busy edge."""
PRODUCERS = 8
TRACKERS = 500
TERMS = {"pricing_type": "cpm", "revenue_value": 2_500_000, "cost_cpm": 1_250_000, "revshare": 0}
AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/%d.0.0.0 Safari/537.36"


def records(kind: str) -> list[TrackerRecord]:
    """Return trackers as campaigns have them: some hundred, with events spread unevenly."""
    return [tracker(kind, number, line_item_id=number // 10, terms=TERMS) for number in range(1, TRACKERS + 1)]


def fill(valkey: ValkeyProcess, events: int, shards: int) -> None:
    """Add batches of several producers to the streams; one event in fifty is a click."""
    allocator = event_ids.IdAllocator()
    fragments = {kind: [event_ids.tracker_fragment(record) for record in records(kind)] for kind in ("imp", "clk")}
    names = [batches.new_producer() for _ in range(PRODUCERS)]
    with valkey.client() as client:
        for index in range(events // BATCH):
            lines = [allocator.head_line(BATCH)]
            for number in range(BATCH):
                kind = "clk" if number % 50 == 0 else "imp"
                fragment = fragments[kind][(index * number) ** 2 % TRACKERS]
                agent = orjson.dumps(AGENT % (100 + number % 50))
                act = b',"act":"image"' if kind == "imp" else b""
                fact = b'%b,"ip":"203.0.%d.0","ua":%b,"ref":"https://news%d.example/section/article-%d","cb":"%d%06d"'
                values = (act, number % 256, agent, number % 100, index % 1000, index, number)
                lines.append(fragment + fact % values)
            name = names[index % PRODUCERS]
            one = batches.Batch(name, index // PRODUCERS + 1, BATCH, batches.pack(lines))
            client.xadd(keys.events_key(batches.shard_of(name, shards)), batches.to_entry(one))


async def count(settings: Settings, valkey: ValkeyProcess) -> None:
    """Run a counter in this process until the streams are empty."""
    stopping = asyncio.Event()
    running = asyncio.create_task(process.run_counter(settings, stopping, lambda: None))
    with valkey.client() as client:
        while any(client.xlen(keys.events_key(shard)) for shard in range(settings.shards)):  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    stopping.set()
    await running


def main() -> None:
    """Run the command."""
    process_guard.begin()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--profile", action="store_true", help="also print the functions that take most time; slower")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        valkey = start_valkey(Path(name) / "valkey")
        settings = Settings(data_dir=Path(name), stream_url=valkey.url)
        fill(valkey, arguments.events, settings.shards)
        profile = cProfile.Profile()
        if arguments.profile:
            profile.enable()
        wall, cpu = time.monotonic(), time.process_time()
        asyncio.run(count(settings, valkey))
        wall, cpu = time.monotonic() - wall, time.process_time() - cpu
        profile.disable()
        valkey.remove()
    events = arguments.events
    print(
        f"{events:,} events in {wall:.1f} s, {events / wall:,.0f} a second;"
        f" {cpu:.1f} s of CPU, {events / cpu:,.0f} a second of one core"
    )
    if arguments.profile:
        pstats.Stats(profile).sort_stats("tottime").print_stats(25)


if __name__ == "__main__":
    main()
