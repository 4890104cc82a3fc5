"""Figures, not verdicts: start time and memory, CPU time of an impression in all processes, the edge beside its peers.

    python -m loadtests.bench [--rounds 5] [--seconds 2] [--connections 64]
    python -m loadtests.bench --compare

`contest.py` runs the edge beside nginx and a bare application; the result is `bench-results/latest.json`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from loadtests import contest, generator, processes
from loadtests.verdict import Target, Totals, Trackers, counted_totals, create_trackers, wait_for_drain
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


def receipt(url: str) -> str:
    """What the edge says to one request."""
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310
        return str(answer.headers["X-OneByOne"])


def pipeline(folder: Path, seconds: float, connections: int) -> None:
    """Prints the CPU of each role for one counted event, from the tag to the report, and whether all were counted."""
    product = start_product(folder / "cpu", workers=1)
    try:
        target = Target(product.edge_url, product.client())
        trackers = create_trackers(target.api)
        url = f"{product.edge_url}/imptr?id={trackers.impression}&cachebuster=1"
        sent = wait_until_recorded(url)
        pids = {role: product.pids(role)[0] for role in ("edge", "valkey", "counter")}
        before = {role: processes.cpu_seconds(pid) for role, pid in pids.items()}
        answered = generator.load(url, connections, seconds)
        counted = print_counted(target, trackers, sent + answered)
        print(f"whole pipeline, {generator.name()}, {connections} connections, CPU a counted event:")
        spent = {role: (processes.cpu_seconds(pid) - before[role]) / counted * 1e6 for role, pid in pids.items()}
        for role, micros in spent.items():
            print(f"  {role:<10} {micros:6.1f} us")
        print(f"  {'together':<10} {sum(spent.values()):6.1f} us")
    finally:
        product.stop()


def wait_until_recorded(url: str) -> int:
    """Asks until the new tracker is live; how many events that made. The rounds must measure receipts."""
    for _ in range(100):
        if receipt(url) == "recorded":
            return 1
        time.sleep(0.1)
    raise RuntimeError(f"{url} is not recorded")


def print_counted(target: Target, trackers: Trackers, sent: int) -> int:
    """Prints the report's total beside the answers and returns it."""
    wait_for_drain(target, trackers, Totals(sent, 0))
    counted = counted_totals(target, trackers).impressions
    print(f"answered {sent}, counted {counted}; requests cut off at the end may add to it")
    return counted


def main() -> int:
    """Reads the options and prints the figures."""
    parser = argparse.ArgumentParser(prog="loadtests.bench", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--compare", action="store_true", help="print the last two results side by side")
    options = parser.parse_args()
    if options.compare:
        return contest.compare()
    with tempfile.TemporaryDirectory(prefix="onebyone-bench-") as name:
        folder = Path(name)
        start_and_memory(folder)
        pipeline(folder, options.seconds, options.connections)
        contest.run(folder / "contest", options.rounds, options.seconds, options.connections)
    return 0


if __name__ == "__main__":
    sys.exit(main())
