"""What connections cost on which nothing happens: memory of each, and what others notice of them."""

from __future__ import annotations

import resource
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from loadtests.bench import browsers, edges, processes, wrk
from loadtests.bench.conditions import Conditions, Server
from loadtests.bench.rows import Column, Row, Table
from tests.edge.edge_process import EdgeProcess
from tests.support.valkey import ValkeyProcess, start_valkey

CONNECTIONS = 10_000
_SPARE = 500
"""Descriptors for everything else."""
_STEP = 100
"""Connections that are opened at a time; the listener's queue holds more."""
_SECONDS = 20.0
ROUNDS = 3
"""At most, without and with them."""
WAYS = ("fast", "asgi")
"""A connection whose last request went the ASGI way keeps uvicorn's protocol and its parser."""
_ALONE = "fast way, alone"
COLUMNS = {
    "idle": (
        Column("us CPU", "micros", compared=True),
        Column("x first", "micros", 2, _ALONE, compared=True),
        Column("req/s", "rate", 0),
        Column("p50 ms", "p50_ms", 2),
        Column("p99 ms", "p99_ms", 2),
        Column("edge MB", "resident_mb", 0),
        Column("KB a connection", "connection_kb", compared=True),
    )
}


def run(conditions: Conditions) -> list[Table]:
    """Rounds without idle connections, then with them; each of them has had an answer before, and gets one after."""
    if (reason := wrk.missing()) is not None:
        return [Table("idle", f"Idle connections: skipped, {reason}", (), [])]
    conditions.folder.mkdir(parents=True)
    valkey = start_valkey(conditions.folder / "valkey")
    conditions.cores.loads(valkey.pid)
    edges.publish(valkey)
    rows, notes = [], []
    try:
        with _descriptors() as room:
            count = min(CONNECTIONS, room)
            for way in WAYS:
                found, again = _way(conditions, valkey, way, count)
                rows += found
                notes.append(f"{way}: after the rounds {again:,} of the {count:,} asked again and were recorded")
    finally:
        valkey.remove()
    return [Table("idle", f"{count:,} idle keep-alive connections", COLUMNS["idle"], rows, notes)]


def _way(conditions: Conditions, valkey: ValkeyProcess, way: str, count: int) -> tuple[list[Row], int]:
    """The rows of one way into the edge, and how many of the idle connections were still good at the end."""
    alone, among = Row(f"{way} way, alone"), Row(f"{way} way, among them")
    with edges.edge(conditions.folder / way, valkey, edge_http=way) as process:
        pid = edges.pid(process)
        conditions.cores.serves(pid)
        requests = conditions.folder / f"{way}.requests"
        server = Server(process.url, pid, browsers.write(requests, process.url.removeprefix("http://")))
        rounds = min(ROUNDS, conditions.rounds)
        for _ in range(rounds):
            conditions.round(alone, server, valkey)
        memory = processes.resident_mb(pid)
        alone.add({"resident_mb": memory})
        request = browsers.read(requests)[0]
        with conditions.cores.loading():
            connections = _open(process, request, count)
        grown = processes.resident_mb(pid)
        among.add({"resident_mb": grown, "connection_kb": (grown - memory) * 1024 / count})
        for _ in range(rounds):
            conditions.round(among, server, valkey)
        again = sum(_ask(connections[at : at + _STEP], request) for at in range(0, count, _STEP))
        for connection in connections:
            connection.close()
    return [alone, among], again


@contextmanager
def _descriptors() -> Iterator[int]:
    """As many descriptors as this process and its children may have; how many connections they are good for."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        yield hard - _SPARE if hard != resource.RLIM_INFINITY else CONNECTIONS
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _open(process: EdgeProcess, request: bytes, count: int) -> list[socket.socket]:
    """Connections that have each had an answer."""
    address, connections = process.listener.getsockname(), []
    for at in range(0, count, _STEP):
        some = [socket.create_connection(address, timeout=_SECONDS) for _ in range(min(_STEP, count - at))]
        if _ask(some, request) != len(some):
            raise RuntimeError("a connection had no answer that was recorded")
        connections += some
    return connections


def _ask(connections: Sequence[socket.socket], request: bytes) -> int:
    """Sends the request on each; how many were recorded."""
    for connection in connections:
        connection.sendall(request)
    return sum(b"x-onebyone: recorded" in connection.recv(65_536) for connection in connections)
