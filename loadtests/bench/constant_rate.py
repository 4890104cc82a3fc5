"""Measure latency at a constant rate of 70 % of what a server can answer, with receipts on disk.

Each round first saturates the server (wrk), then sends at 70 % of that rate (`sender.py`), and then to nginx at the
edge's rate.
"""

from __future__ import annotations

import os
from contextlib import ExitStack

from loadtests.bench import edges, processes, wrk
from loadtests.bench.conditions import Conditions, Server, take_stream
from loadtests.bench.contest import LOG, contenders, started
from loadtests.bench.machine import Others
from loadtests.bench.rows import Column, Row, Table
from loadtests.bench.sending import RECORDED, send
from tests.support.valkey import ValkeyProcess, start_valkey

SHARE = 0.7
ROUNDS = 3
"""Maximum number of rounds, each of which takes twice as long as one of the contest."""
LONGER = 2.0
"""Length relative to a round of the contest: p99.9 needs many answers."""
EDGE = "edge"
AT_EDGE_RATE = f"{LOG}, the edge's rate"
COLUMNS = {
    "constant rate": (
        Column("saturated/s", "saturation", 0),
        Column("sent/s", "rate", 0),
        Column("kept", "kept", 2),
        Column("p50 ms", "p50_ms", 2, compared=True),
        Column("p99 ms", "p99_ms", 2, compared=True),
        Column("p99 range", "p99_ms", 2, show="range"),
        Column("p99.9 ms", "p999_ms", 2, compared=True),
        Column("max ms", "max_ms", 1),
        Column("p50 x log", "p50_ms", 2, LOG),
        Column("p99 x log", "p99_ms", 2, LOG),
        Column("errors", "errors", 0, show="sum"),
        Column("us CPU", "micros"),
        Column("late p99 ms", "late_p99_ms", 2),
        Column("generator busy", "busy", 2),
    )
}


def run(conditions: Conditions) -> list[Table]:
    """Run all rounds and return the table."""
    if (reason := wrk.reason_missing()) is not None:
        return [Table("constant rate", f"Constant rate: skipped, {reason}", (), [])]
    conditions.folder.mkdir(parents=True)
    valkey = start_valkey(conditions.folder / "valkey")
    conditions.cores.loads(valkey.pid)
    edges.publish(valkey)
    field, skipped = contenders(valkey)
    saturated, edge, log, log_at_edge_rate = Row("saturated"), Row(EDGE), Row(LOG), Row(AT_EDGE_RATE)
    try:
        with ExitStack() as stack:
            servers = {one.name: started(stack, conditions, one) for one in field if one.name in (LOG, EDGE)}
            for number in range(rounds := min(ROUNDS, conditions.rounds)):
                for row in (log, edge):
                    if row.name in servers:
                        server = servers[row.name]
                        rate = conditions.round(saturated, server, valkey)
                        _round(conditions, row, server, valkey, rate, SHARE * rate)
                        if row is edge and LOG in servers:
                            _round(conditions, log_at_edge_rate, servers[LOG], valkey, rate, SHARE * rate)
                print(f"  round {number + 1} of {rounds}", flush=True)
    finally:
        valkey.remove()
    rows = [row for row in (log, log_at_edge_rate, edge) if row.values]
    title = f"Latency at {SHARE:.0%} of saturation, at a constant rate, from when each request was due"
    notes = [
        "late: from when a request was due and a connection free until it was sent, the generator's own share of p99",
        *(
            f"{row.name}: too fast for the generator, not for the server"
            for row in rows
            if not row.values.get("p50_ms")
        ),
    ]
    return [Table("constant rate", title, COLUMNS["constant rate"], rows, [*skipped, *notes])]


def _round(
    conditions: Conditions, row: Row, server: Server, valkey: ValkeyProcess, saturation: float, rate: float
) -> None:
    # Write out earlier output now (nginx has its log), so that it does not reach the disk during the round.
    os.sync()
    conditions.quiet.wait()
    cpu, others = processes.cpu_seconds(server.pid), Others(server.pid, valkey.pid)
    with conditions.cores.loading():
        count = int(rate * conditions.seconds * LONGER)
        mark = RECORDED if row.name == EDGE else ""
        result = send(server, count, conditions.connections, rate, mark)
    spent = (processes.cpu_seconds(server.pid) - cpu) / count * 1e6
    row.add(result | {"micros": spent, "saturation": saturation, "kept": result["rate"] / rate}, others.cores())
    take_stream(valkey)
