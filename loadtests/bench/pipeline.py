"""Measure the CPU time of all roles for one counted event, from the tag to the report."""

from __future__ import annotations

import httpx

from loadtests.bench import browsers, processes
from loadtests.bench.conditions import Conditions, Server
from loadtests.bench.machine import Others
from loadtests.bench.rows import Column, Row, Table
from loadtests.bench.sending import RECORDED, send
from loadtests.verdict import Target, Totals, counted_totals, create_trackers, wait_for_drain
from tests.support.product import Product, start_product
from tests.support.waiting import wait_until

ROLES = ("edge", "valkey", "counter")
TOGETHER = "together"
ROUNDS = 3
"""Maximum number of rounds, each of which waits until the report has every event."""
_EVENTS_A_SECOND = 10_000
"""Events that a round sends for each second of its length."""
COLUMNS = {
    "pipeline": (
        Column("us CPU", "micros", compared=True),
        Column("range", "micros", show="range"),
    )
}


def run(conditions: Conditions) -> list[Table]:
    """Send events to a whole product, with nothing pinned, and read the report until it has them."""
    conditions.folder.mkdir(parents=True)
    product = start_product(conditions.folder / "product", workers=1)
    try:
        return [_run(conditions, product)]
    finally:
        product.stop()


def _run(conditions: Conditions, product: Product) -> Table:
    target = Target(product.edge_url, product.client())
    trackers = create_trackers(target.api)
    host = product.edge_url.removeprefix("http://")
    requests = browsers.write_requests(conditions.folder / "requests", host, ids=(trackers.impression,))
    url = product.edge_url + browsers.IMPRESSION.format(id=trackers.impression, cachebuster=1)
    wait_until(lambda: httpx.get(url).headers["x-onebyone"] == "recorded", "the new tracker is live")
    wait_for_drain(target, trackers, Totals(1, 0))
    family = processes.family(product.pid)
    pids = {role: product.pids(role)[0] for role in ROLES}
    server = Server(product.edge_url, pids["edge"], requests)
    rows = {name: Row(name) for name in (*ROLES, TOGETHER)}
    sent = recorded = int(counted_totals(target, trackers).impressions)
    for number in range(rounds := min(ROUNDS, conditions.rounds)):
        conditions.quiet.wait()
        before, others = {role: processes.cpu_seconds(pid) for role, pid in pids.items()}, Others(*family)
        count = int(_EVENTS_A_SECOND * conditions.seconds)
        result = send(server, count, conditions.connections, mark=RECORDED)
        used_by_others = others.cores()
        sent, recorded = sent + count, recorded + count - int(result["errors"])
        wait_for_drain(target, trackers, Totals(recorded, 0))
        spent = {role: (processes.cpu_seconds(pid) - before[role]) / count * 1e6 for role, pid in pids.items()}
        for role, micros in spent.items():
            rows[role].add({"micros": micros})
        rows[TOGETHER].add({"micros": sum(spent.values())}, used_by_others)
        print(f"  round {number + 1} of {rounds}", flush=True)
    counted = counted_totals(target, trackers).impressions
    return Table(
        "pipeline",
        "Whole pipeline, CPU of a counted event",
        COLUMNS["pipeline"],
        list(rows.values()),
        [f"sent {sent}, recorded {recorded}, counted {counted}"],
    )
