"""Measure what an event costs at the edge and after it, compared with nginx, and how that cost grows.

    python -m loadtests.bench [--only PART ...] [--rounds 5] [--seconds 2] [--connections 64]
    python -m loadtests.bench --compare
    python -m loadtests.bench --picture docs/performance.svg

The command prints tables; the values of all rounds are in `bench-results/latest.json`.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
import time
from pathlib import Path

from loadtests.bench import constant_rate, contest, growth, idle, machine, picture, pipeline, report, results, start
from loadtests.bench.conditions import Conditions
from loadtests.bench.machine import Cores, Quiet
from loadtests.bench.rows import Table
from tests.support import process_guard

PARTS = {
    "start": start,
    "pipeline": pipeline,
    "contest": contest,
    "rate": constant_rate,
    "growth": growth,
    "idle": idle,
}
COLUMNS = {name: columns for part in PARTS.values() for name, columns in part.COLUMNS.items()}
QUIET_ALL_SECONDS = 60.0
"""How long all rounds together wait for a quiet machine."""


def run(options: argparse.Namespace) -> None:
    """Run the parts, print their tables, and write the result."""
    about = machine.description()
    print(", ".join(f"{name} {value}" for name, value in about.items()))
    quiet, tables, began = Quiet(options.quiet, QUIET_ALL_SECONDS), list[Table](), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="onebyone-bench-") as folder:
        for name in options.only:
            print(f"{name}, {time.monotonic() - began:.0f} s", flush=True)
            conditions = Conditions(
                Path(folder) / name, options.rounds, options.seconds, options.connections, Cores(), quiet
            )
            tables += PARTS[name].run(conditions)
    print(*("", *map(report.table_text, tables)), sep="\n")
    asked = {name: getattr(options, name) for name in ("rounds", "seconds", "connections")}
    path = results.write_result(tables, about, asked, results.FOLDER)
    print(f"{time.monotonic() - began:.0f} s; all rounds are in {path.parent.name}/{path.name}")


def compare() -> int:
    """Print the last two results side by side, and return the exit code."""
    try:
        before, after = results.read_last_two(results.FOLDER)
    except FileNotFoundError as error:
        print(f"nothing to compare: {error.filename} is missing; run `make bench` twice")
        return 2
    print(results.compare(before, after, COLUMNS))
    return 0


def main() -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(prog="loadtests.bench", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="length of a round")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--quiet", type=float, default=5.0, help="how many seconds a round waits for a quiet machine")
    parser.add_argument("--compare", action="store_true", help="print the last two results side by side")
    parser.add_argument("--picture", type=Path, metavar="SVG", help="draw the CPU time of a request in the last result")
    options = parser.parse_args()
    if options.compare:
        return compare()
    if options.picture:
        options.picture.write_text(picture.svg(json.loads((results.FOLDER / "latest.json").read_text())))
        return 0
    process_guard.begin()
    # A clean exit also stops nginx, whose title overwrites the mark that the guard looks for.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    run(options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
