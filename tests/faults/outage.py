"""Measure one edge while the stream server is away: memory, and bytes on disk per event, as its journal grows.

`python -m tests.faults.outage --events 5000000` prints a line per million events, then kills the process and prints
how long the next one takes to its first answer. Needs wrk.
"""

from __future__ import annotations

import argparse
import re
import tempfile
import time
from pathlib import Path

import httpx

from loadtests.bench import browsers, wrk
from tests.edge.edge_process import EdgeProcess, Publisher, tracker
from tests.faults.backlog import first_answer
from tests.faults.means.processes import resident_mb
from tests.support import process_guard
from tests.support.valkey import start_valkey

SECONDS = 10
"""Length of one burst of requests; the figures are read between two."""


def recorded(edge: EdgeProcess) -> int:
    """Return the number of events on disk, as the edge counts them."""
    page = httpx.get(f"{edge.url}/metrics", timeout=30).text
    found = re.search(r"^onebyone_edge_recorded_total (\S+)", page, re.MULTILINE)
    return int(float(found[1])) if found else 0


def main() -> None:
    """Run the command."""
    process_guard.begin()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=5_000_000)
    parser.add_argument("--connections", type=int, default=64)
    arguments = parser.parse_args()
    if (reason := wrk.reason_missing()) is not None:
        parser.error(reason)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        valkey = start_valkey(folder / "valkey")
        Publisher(valkey).publish(tracker("imp", 1))
        edge = EdgeProcess(folder / "data", valkey.url, stream_url=f"unix://{folder}/away")
        fresh = first_answer(edge)
        assert edge.process is not None
        requests = browsers.write_requests(folder / "requests", edge.url.removeprefix("http://"), ids=(1,))
        began, step, told = time.monotonic(), arguments.events // 5, 0
        print("   events   memory     journal  a event  a second")
        while True:
            events = recorded(edge)
            if events >= told * step:
                told += 1
                size = sum(path.stat().st_size for path in (folder / "data" / "journal").iterdir())
                seconds = time.monotonic() - began
                print(
                    f"{events:>9,} {resident_mb(edge.process.pid):>5} MB {size:>11,} {size / max(events, 1):>8.1f}"
                    f" {events / seconds:>9,.0f}",
                    flush=True,
                )
            if events >= arguments.events:
                break
            wrk.run_wrk(edge.url, requests, arguments.connections, SECONDS)
        sink = httpx.get(f"{edge.url}/sinkz", timeout=30).json()
        print(f"waiting for the stream server: {sink['unshipped_batches']:,} batches")
        edge.kill()
        print(
            f"first answer after SIGKILL and a new start: {first_answer(edge)}; of a start without a journal: {fresh}"
        )
        edge.kill()
        edge.listener.close()
        valkey.remove()


if __name__ == "__main__":
    main()
