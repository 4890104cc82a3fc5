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
from tests.support.valkey import start_valkey

CONNECTIONS = 10_000
_SPARE = 500
"""Descriptors for everything else."""
_STEP = 100
"""Connections that are opened at a time; the listener's queue holds more."""
_SECONDS = 20.0
ALONE, AMONG = "alone", "among idle connections"
COLUMNS = {
    "idle": (
        Column("us CPU", "micros", compared=True),
        Column("x alone", "micros", 2, ALONE, compared=True),
        Column("req/s", "rate", 0),
        Column("p50 ms", "p50_ms", 2),
        Column("p99 ms", "p99_ms", 2),
        Column("edge MB", "resident_mb", 0),
        Column("KB a connection", "connection_kb", compared=True),
    )
}


def run(conditions: Conditions) -> list[Table]:
    """Rounds without idle connections, then with them, each of which has had an answer before and gets one after."""
    if (reason := wrk.missing()) is not None:
        return [Table("idle", f"Idle connections: skipped, {reason}", (), [])]
    conditions.folder.mkdir(parents=True)
    valkey = start_valkey(conditions.folder / "valkey")
    conditions.cores.loads(valkey.pid)
    edges.publish(valkey)
    alone, among = Row(ALONE), Row(AMONG)
    try:
        with _descriptors() as room, edges.edge(conditions.folder / "edge", valkey) as process:
            pid = edges.pid(process)
            conditions.cores.serves(pid)
            host = process.url.removeprefix("http://")
            server = Server(process.url, pid, browsers.write(conditions.folder / "requests", host))
            for _ in range(conditions.rounds):
                conditions.round(alone, server, valkey)
            memory = processes.resident_mb(pid)
            alone.add({"resident_mb": memory})
            request = browsers.read(server.requests)[0]
            with conditions.cores.loading():
                connections = _open(process, request, min(CONNECTIONS, room))
            grown = processes.resident_mb(pid)
            among.add({"resident_mb": grown, "connection_kb": (grown - memory) * 1024 / len(connections)})
            for _ in range(conditions.rounds):
                conditions.round(among, server, valkey)
            again = sum(_ask(connections[at : at + _STEP], request) for at in range(0, len(connections), _STEP))
            for connection in connections:
                connection.close()
    finally:
        valkey.remove()
    title = f"{len(connections):,} idle keep-alive connections"
    note = f"after the rounds {again:,} of the {len(connections):,} asked again and were recorded"
    return [Table("idle", title, COLUMNS["idle"], [alone, among], [note])]


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
