"""Measure how long a product with two edge processes takes to be ready, and its memory."""

from __future__ import annotations

import time
from collections import defaultdict

from loadtests.bench import processes
from loadtests.bench.conditions import Conditions
from loadtests.bench.machine import Others
from loadtests.bench.rows import Column, Row, Table
from tests.support.product import Product, start_product

IDLE_SECONDS = 3.0
ROLES = ("edge", "api", "counter", "valkey")
COLUMNS = {
    "start": (Column("ready after s", "seconds", 2, compared=True), Column("CPU s, all processes", "cpu_seconds", 1)),
    "memory": (
        Column("processes", "processes", 0),
        Column("resident MB", "resident_mb", compared=True),
        Column("proportional MB", "proportional_mb", compared=True),
    ),
}


def run(conditions: Conditions) -> list[Table]:
    """Start a new product, stop it, start it again, leave it idle, and return the tables."""
    conditions.folder.mkdir(parents=True)
    starts, memory = [], []
    for name in ("first start", "second start"):
        conditions.quiet.wait()
        row, others, began = Row(name), Others(), time.perf_counter()
        product = start_product(conditions.folder / "product", workers=2)
        ready = time.perf_counter() - began
        try:
            cpu = sum(map(processes.cpu_seconds, processes.family(product.pid)))
            # The product's own use is not that of others.
            row.add({"seconds": ready, "cpu_seconds": cpu}, max(0.0, others.cores() - cpu / ready))
            starts.append(row)
            if name == "second start":
                time.sleep(IDLE_SECONDS)
                memory = _memory(product)
        finally:
            product.stop()
    return [
        Table("start", "Start, two edge processes", COLUMNS["start"], starts),
        Table("memory", f"Memory, idle for {IDLE_SECONDS:.0f} s", COLUMNS["memory"], memory),
    ]


def _memory(product: Product) -> list[Row]:
    roles = dict.fromkeys(processes.family(product.pid), "supervisor")
    for role in ROLES:
        roles |= dict.fromkeys(product.pids(role), role)
    usage: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
    for pid, role in roles.items():
        figures = (processes.resident_mb(pid), processes.proportional_mb(pid) or 0.0)
        usage[role].append(figures)
        usage["together"].append(figures)
    rows = []
    for role in ("supervisor", *ROLES, "together"):
        resident, proportional = map(sum, zip(*usage[role], strict=True))
        rows.append(Row(role))
        rows[-1].add({"processes": len(usage[role]), "resident_mb": resident, "proportional_mb": proportional})
    return rows
