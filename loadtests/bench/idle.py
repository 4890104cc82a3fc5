"""Measure idle connections: the memory of each, and their effect on the others."""

from __future__ import annotations

import resource
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from loadtests.bench import browsers, edges, processes, wrk
from loadtests.bench.conditions import Conditions, Server
from loadtests.bench.rows import Column, Row, Table
from loadtests.bench.sender import is_complete
from tests.edge.edge_process import EdgeProcess
from tests.support.valkey import ValkeyProcess, start_valkey

CONNECTIONS = 10_000
_SPARE = 500
"""Descriptors kept for everything else."""
_STEP = 100
"""Connections opened at a time, fewer than the listener's queue holds."""
_SECONDS = 20.0
ROUNDS = 2
"""Maximum number of rounds without idle connections, and with them."""
WAYS = ("fast", "asgi")
"""Values of `edge_http`; with `asgi` each connection keeps uvicorn's protocol and its parser."""
_LIMITS = {"connections": "60000", "connections_per_peer": "30000"}
"""One peer may have half of what the descriptors of the edge allow: the idle ones and those of the load."""
_ALONE, _AMONG = "alone", "among them"
_COLUMNS = (
    Column("us CPU", "micros", compared=True),
    Column("x alone", "micros", 2, _ALONE, compared=True),
    Column("req/s", "rate", 0),
    Column("p50 ms", "p50_ms", 2),
    Column("p99 ms", "p99_ms", 2),
    Column("edge MB", "resident_mb", 0),
    Column("KB a connection", "connection_kb", compared=True),
)
COLUMNS = {f"idle, {way}": _COLUMNS for way in WAYS}


def run(conditions: Conditions) -> list[Table]:
    """Run rounds without idle connections, then with them; each is answered once before the rounds and once after."""
    if (reason := wrk.reason_missing()) is not None:
        return [Table(f"idle, {WAYS[0]}", f"Idle connections: skipped, {reason}", (), [])]
    conditions.folder.mkdir(parents=True)
    valkey = start_valkey(conditions.folder / "valkey")
    conditions.cores.loads(valkey.pid)
    edges.publish(valkey)
    try:
        with _descriptors() as room:
            return [_way(conditions, valkey, way, min(CONNECTIONS, room // 2)) for way in WAYS]
    finally:
        valkey.remove()


def _way(conditions: Conditions, valkey: ValkeyProcess, way: str, count: int) -> Table:
    """Measure one value of `ONEBYONE_EDGE_HTTP`."""
    alone, among = Row(_ALONE), Row(_AMONG)
    with edges.running_edge(conditions.folder / way, valkey, edge_http=way, **_LIMITS) as process:
        pid = edges.edge_pid(process)
        conditions.cores.serves(pid)
        requests = conditions.folder / f"{way}.requests"
        server = Server(process.url, pid, browsers.write_requests(requests, process.url.removeprefix("http://")))
        rounds = min(ROUNDS, conditions.rounds)
        for _ in range(rounds):
            conditions.round(alone, server, valkey)
        memory = processes.resident_mb(pid)
        alone.add({"resident_mb": memory})
        request = browsers.read_requests(requests)[0]
        with conditions.cores.loading():
            connections = _open(process, request, count)
        grown = processes.resident_mb(pid)
        among.add({"resident_mb": grown, "connection_kb": (grown - memory) * 1024 / count})
        for _ in range(rounds):
            conditions.round(among, server, valkey)
        again = sum(_ask(connections[at : at + _STEP], request) for at in range(0, count, _STEP))
        for connection in connections:
            connection.close()
    title = f"{count:,} idle keep-alive connections, edge_http={way}"
    note = f"after the rounds {again:,} of the {count:,} asked again and were recorded"
    return Table(f"idle, {way}", title, _COLUMNS, [alone, among], [note])


@contextmanager
def _descriptors() -> Iterator[int]:
    """Raise the limit of descriptors to its maximum, and yield how many connections that allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        yield hard - _SPARE if hard != resource.RLIM_INFINITY else CONNECTIONS
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _open(process: EdgeProcess, request: bytes, count: int) -> list[socket.socket]:
    """Open connections, on each of which a request has been answered."""
    address, connections = process.listener.getsockname(), []
    for at in range(0, count, _STEP):
        some = [socket.create_connection(address, timeout=_SECONDS) for _ in range(min(_STEP, count - at))]
        if _ask(some, request) != len(some):
            raise RuntimeError("a connection had no answer that was recorded")
        connections += some
    return connections


def _ask(connections: Sequence[socket.socket], request: bytes) -> int:
    """Send the request on each connection, and return how many were recorded."""
    for connection in connections:
        connection.sendall(request)
    return sum(b"x-onebyone: recorded" in _answer(connection) for connection in connections)


def _answer(connection: socket.socket) -> bytes:
    data = connection.recv(65_536)
    while data and not is_complete(data) and (more := connection.recv(65_536)):
        data += more
    return data
