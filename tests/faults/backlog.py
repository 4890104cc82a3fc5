"""Measure an edge that starts on a journal of a million unshipped events: first answer, memory, time to catch up.

`python -m tests.faults.backlog --events 1000000` prints the figures.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sqlite3
import tempfile
import time
from pathlib import Path

import httpx
import orjson

from onebyone.edge.journal import writer
from tests.counter.harness import event
from tests.edge.edge_process import EdgeProcess, Publisher, tracker
from tests.faults.means.processes import resident_mb
from tests.faults.oracle import Oracle, cost_of
from tests.support import process_guard
from tests.support.journals import write
from tests.support.payloads import payload
from tests.support.product import start_product
from tests.support.valkey import start_valkey
from tests.support.waiting import wait_until

BATCH = 500
"""Events of one journal row."""


HOUR = 3600 * 75
"""Events of an hour at the rate of the ledger's load: 60 impressions and 15 clicks a second."""


def an_hour(oracle: Oracle, folder: Path) -> int:
    """Write an hour of events to journals of dead edges, which the product's edges adopt; return their number."""
    counted = (line for line in oracle.archive.lines(most=50) if b'"reason"' not in line)
    line, *_ = (line for line in counted if b'"kind":"imp"' in line)
    template = orjson.loads(line)
    before = len(oracle.owed)
    directory = oracle.product.data_dir / "journal"
    for _ in range(4):
        own = writer.create_journal(folder / "hour", 4)
        for _ in range(HOUR // 4 // BATCH):
            events = []
            for _ in range(BATCH):
                name = f"i{2 * 10**9 + len(oracle.owed)}"
                oracle.owed.add(name)
                number = 2**62 + len(oracle.owed)
                events.append(template | {"id": number, "cb": name, "ancost": cost_of(name)})
            write(own, BATCH, payload(events))
        own.close()
        for path in (folder / "hour").glob(f"{own.producer}.*"):
            path.rename(directory / path.name)
    return len(oracle.owed) - before


def fill(directory: Path, events: int) -> int:
    """Write the journal of a dead producer with that many events, and return its size in bytes."""
    own = writer.create_journal(directory, 4)
    agent = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36"
    for seq in range(1, events // BATCH + 1):
        names = (f"i{seq}-{number}" for number in range(BATCH))
        write(own, BATCH, payload(event(ua=agent, ip="203.0.113.0", cb=name) for name in names))
    size = own.size_bytes()
    own.close()
    return size


def first_answer(edge: EdgeProcess) -> str:
    """Start the process; return how long a request that waits for it took, and the CPU time until then, as text."""
    began = time.monotonic()
    edge.start(wait=False)
    answer = edge.get("/imptr?id=1").headers["x-onebyone"]
    seconds = time.monotonic() - began
    assert answer == "recorded", answer
    assert edge.process is not None
    fields = Path(f"/proc/{edge.process.pid}/stat").read_text().rpartition(")")[2].split()
    cpu = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return f"{seconds:.2f} s, {cpu:.2f} s of CPU"


def edge_alone(folder: Path, events: int) -> None:
    """Print the time to the first answer, and the memory while the stream server is away."""
    valkey = start_valkey(folder / "valkey")
    Publisher(valkey).publish(tracker("imp", 1))
    for data_dir, backlog in ((folder / "empty", 0), (folder / "data", events)):
        edge = EdgeProcess(data_dir, valkey.url, stream_url=f"unix://{folder}/none")
        print(f"first answer after a start with {backlog:,} unshipped events: {first_answer(edge)}", flush=True)
        if not backlog:
            edge.kill()
            edge.listener.close()
    time.sleep(6)
    assert edge.process is not None
    sink = httpx.get(f"{edge.url}/sinkz").json()
    print(f"memory while the stream server is away: {resident_mb(edge.process.pid)} MB; sink: {sink}")
    edge.kill()
    edge.listener.close()
    valkey.remove()


def catch_up(folder: Path, events: int) -> None:
    """Start the product, wait until every event is counted, and print the rate."""
    product = start_product(folder / "data", workers=1)
    began = time.monotonic()

    def counted() -> int:
        with contextlib.closing(sqlite3.connect(product.data_dir / "reports.sqlite3", timeout=30)) as store:
            return int(store.execute("SELECT coalesce(sum(events), 0) FROM hourly").fetchone()[0])

    first = counted()
    wait_until(lambda: counted() >= events, "all is counted", 300, every=0.25)
    took = time.monotonic() - began
    print(f"caught up: {events - first} events in {took:.1f} s after ready, {(events - first) / took:,.0f} a second")
    product.stop()


def main() -> None:
    """Run the command."""
    process_guard.begin()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    events = parser.parse_args().events
    with tempfile.TemporaryDirectory() as name:
        size = fill(Path(name) / "data" / "journal", events)
        print(f"journal: {size} bytes, {size / events:.0f} an event")
        edge_alone(Path(name), events)
        catch_up(Path(name), events)


if __name__ == "__main__":
    main()
