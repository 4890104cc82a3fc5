"""Figures, not verdicts: start time and memory of an idle product, CPU time of a recorded impression.

    python -m loadtests.bench [--rounds 5] [--seconds 3] [--connections 32]

The CPU time of the edge process stands beside that of a bare application on the same server settings (`bare.py`), in
interleaved rounds on one machine, so that a noisy neighbour disturbs both.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from loadtests import generator, processes
from loadtests.verdict import Target, Totals, Trackers, counted_totals, create_trackers, wait_for_drain
from tests.support.ports import free_port
from tests.support.product import Product, start_product

IDLE_SECONDS = 3.0


def start_and_memory(folder: Path) -> None:
    """Prints time to ready (first start, second start) and memory with two edge processes."""
    for which in ("first start", "second start"):
        began = time.perf_counter()
        product = start_product(folder / "idle", workers=2)
        ready = time.perf_counter() - began
        try:
            cpu = sum(map(processes.cpu_seconds, processes.family(product.pid)))
            print(f"{which}: ready after {ready:.2f} s, {cpu:.1f} s CPU in all processes")
            if which == "second start":
                time.sleep(IDLE_SECONDS)
                print_memory(product)
        finally:
            product.stop()


def print_memory(product: Product) -> None:
    """Prints resident memory of each role and of all processes together."""
    everyone = processes.family(product.pid)
    by_pid = dict.fromkeys(everyone, "supervisor")
    for role in ("edge", "api", "counter", "valkey"):
        by_pid |= dict.fromkeys(product.pids(role), role)
    for pid in everyone:
        print(f"  {by_pid[pid]:<10} {processes.resident_mb(pid):6.1f} MB resident")
    shares = [processes.proportional_mb(pid) for pid in everyone]
    line = f"  {len(everyone)} processes  {sum(map(processes.resident_mb, everyone)):.1f} MB resident"
    if None not in shares:
        line += f", {sum(share for share in shares if share is not None):.1f} MB proportional"
    print(line)


@contextmanager
def bare() -> Iterator[tuple[str, int]]:
    """URL and process id of the bare application."""
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", "loadtests.bare", str(port)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        process.stdout.readline()
        yield f"http://127.0.0.1:{port}/imptr?id=1&cachebuster=1", process.pid
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()


def receipt(url: str) -> str:
    """What the edge says to one request."""
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310
        return str(answer.headers["X-OneByOne"])


def cpu_per_request(folder: Path, rounds: int, seconds: float, connections: int) -> None:
    """Prints microseconds of CPU a request, edge beside bare, and whether all were counted."""
    product = start_product(folder / "cpu", workers=1)
    try:
        target = Target(product.edge_url, product.client())
        trackers = create_trackers(target.api)
        with bare() as (bare_url, bare_pid):
            (edge_pid,) = product.pids("edge")
            edge_url = f"{product.edge_url}/imptr?id={trackers.impression}&cachebuster=1"
            sent = wait_until_recorded(edge_url)
            print(f"load: {generator.name()}, {connections} connections, {rounds} rounds of {seconds:g} s each")
            measured: dict[str, list[tuple[float, float]]] = {"edge": [], "bare": []}
            for number in range(rounds):
                for who, url, pid in (("edge", edge_url, edge_pid), ("bare", bare_url, bare_pid)):
                    answered, micros, rate = one_round(url, pid, connections, seconds)
                    measured[who].append((micros, rate))
                    sent += answered if who == "edge" else 0
                    print(f"  round {number + 1} {who}: {micros:6.1f} us CPU a request, {rate:8.0f} requests/s")
        print_ratio(measured)
        print_counted(target, trackers, sent)
    finally:
        product.stop()


def wait_until_recorded(url: str) -> int:
    """Asks until the new tracker is live; how many events that made. The rounds must measure receipts."""
    for _ in range(100):
        if receipt(url) == "recorded":
            return 1
        time.sleep(0.1)
    raise RuntimeError(f"{url} is not recorded")


def one_round(url: str, pid: int, connections: int, seconds: float) -> tuple[int, float, float]:
    """Answered requests, microseconds of CPU a request, requests a second."""
    cpu, began = processes.cpu_seconds(pid), time.perf_counter()
    answered = generator.load(url, connections, seconds)
    spent = time.perf_counter() - began
    return answered, (processes.cpu_seconds(pid) - cpu) / answered * 1e6, answered / spent


def print_ratio(measured: dict[str, list[tuple[float, float]]]) -> None:
    """Prints the medians and how many bare requests one recorded impression costs."""
    middle = {who: (median(m for m, _ in rows), median(r for _, r in rows)) for who, rows in measured.items()}
    for who, (micros, rate) in middle.items():
        print(f"{who}: median {micros:.1f} us CPU a request, {rate:.0f} requests/s")
    print(f"ratio edge / bare: {middle['edge'][0] / middle['bare'][0]:.2f}")


def print_counted(target: Target, trackers: Trackers, sent: int) -> None:
    """Prints the report's total beside the answers."""
    wait_for_drain(target, trackers, Totals(sent, 0))
    counted = counted_totals(target, trackers).impressions
    print(f"answered {sent}, counted {counted}; requests cut off at the end of a round may add to it")


def main() -> None:
    """Reads the options and prints the figures."""
    parser = argparse.ArgumentParser(prog="loadtests.bench", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--connections", type=int, default=32)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="onebyone-bench-") as folder:
        start_and_memory(Path(folder))
        cpu_per_request(Path(folder), options.rounds, options.seconds, options.connections)


if __name__ == "__main__":
    main()
