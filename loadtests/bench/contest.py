"""Measure the CPU time of a request at the edge and its peers, in interleaved rounds on pinned cores.

Each round runs through all contenders, every other round in reverse order. The server has one core; wrk and the stream
server share another. A figure is the user and system time of all threads of the server's process, as the kernel counts
it, divided by the answers that wrk counted. Read the ratios: a noisy machine changes all rows together.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from loadtests.bench import browsers, edges, peers, wrk
from loadtests.bench.conditions import Conditions, Server, take_stream
from loadtests.bench.rows import Column, Row, Table
from tests.support.valkey import ValkeyProcess, start_valkey

LOG, LUA, BARE = "nginx, log line", "nginx, Lua, XADD", "bare ASGI"
"""The peers to which the ratios refer."""
LOG_CLOSE = f"{LOG}, close"

_COST = (Column("us CPU", "micros", compared=True), Column("range", "micros", show="range"))
_ANSWERS = (Column("req/s", "rate", 0), Column("p50 ms", "p50_ms", 2), Column("p99 ms", "p99_ms", 2))
_STREAM = (
    Column("Redis us", "redis_micros", 2),
    Column("a batch", "batch"),
    Column("stream bytes", "stream_bytes", 0),
)
_PARTS = ("loop, user", "loop, kernel", "other threads", "kernel threads")
COLUMNS = {
    "keep-alive": (
        *_COST,
        Column("x log", "micros", 2, LOG, compared=True),
        Column("x Lua", "micros", 2, LUA),
        Column("x bare", "micros", 2, BARE),
        *_ANSWERS,
        *_STREAM,
    ),
    "close": (*_COST, Column("x log", "micros", 2, LOG_CLOSE, compared=True), *_ANSWERS, *_STREAM),
    "breakdown": tuple(Column(part, part) for part in _PARTS),
}


@dataclass(frozen=True)
class Contender:
    """A server under test."""

    name: str
    start: Callable[[Path], AbstractContextManager[tuple[str, int]]]
    target: str = browsers.IMPRESSION
    connection: str = "keep-alive"
    pages: int = browsers.MANY
    """Number of different pages and agents; an edge remembers some thousand."""


def contenders(valkey: ValkeyProcess) -> tuple[list[Contender], list[str]]:
    """Return the contenders that can run on this machine, and a line for each that cannot, with the reason."""
    able, skipped = [], []
    if (reason := peers.missing_nginx()) is None:
        able.append(Contender(LOG, peers.nginx_log))
        able.append(Contender(LOG_CLOSE, peers.nginx_log, connection="close"))
    else:
        skipped.append(f"skipped: nginx: {reason}")
    if (reason := peers.missing_lua()) is None:
        socket = re.sub(r"^unix://|\?.*$", "", valkey.url)
        able.append(Contender(LUA, lambda folder: peers.nginx_lua(folder, socket)))
    else:
        skipped.append(f"skipped: nginx with Lua: {reason}")
    able.append(Contender(BARE, peers.bare))
    able.append(Contender("edge", _edge(valkey)))
    able.append(Contender("edge, click", _edge(valkey), browsers.CLICK))
    able.append(Contender("edge, t=1", _edge(valkey), browsers.SCRIPT))
    able.append(Contender("edge, 100,000 pages", _edge(valkey), pages=100_000))
    able.append(Contender("edge, close", _edge(valkey), connection="close"))
    able.append(Contender("edge, memory", _edge(valkey, receipt="memory")))
    able.append(Contender("edge, ASGI path", _edge(valkey, edge_http="asgi")))
    return able, skipped


def _edge(valkey: ValkeyProcess, **settings: str) -> Callable[[Path], AbstractContextManager[tuple[str, int]]]:
    @contextmanager
    def start(folder: Path) -> Iterator[tuple[str, int]]:
        with edges.running_edge(folder, valkey, **settings) as process:
            yield process.url, edges.edge_pid(process)

    return start


def started(stack: ExitStack, conditions: Conditions, contender: Contender) -> Server:
    """Start the contender's server on its core; it runs until the stack is closed."""
    folder = conditions.folder / re.sub(r"\W+", "-", contender.name)
    url, pid = stack.enter_context(contender.start(folder))
    conditions.cores.serves(pid)
    requests = browsers.write_requests(
        folder.with_suffix(".requests"),
        url.removeprefix("http://"),
        contender.target,
        (edges.TRACKER,),
        contender.connection,
        contender.pages,
        contender.pages,
    )
    return Server(url, pid, requests)


def run(conditions: Conditions) -> list[Table]:
    """Run all rounds and return the tables."""
    if (reason := wrk.reason_missing()) is not None:
        return [Table("keep-alive", f"Edge and peers: skipped, {reason}", (), [])]
    conditions.folder.mkdir(parents=True)
    valkey = start_valkey(conditions.folder / "valkey")
    conditions.cores.loads(valkey.pid)
    edges.publish(valkey)
    field, skipped = contenders(valkey)
    try:
        with ExitStack() as stack:
            running = [(Row(one.name), started(stack, conditions, one)) for one in field]
            take_stream(valkey)
            for number in range(conditions.rounds):
                for row, server in running if number % 2 == 0 else running[::-1]:
                    conditions.round(row, server, valkey)
                print(f"  round {number + 1} of {conditions.rounds}", flush=True)
    finally:
        valkey.remove()
    rows = [row for row, _ in running]
    close = [row for row in rows if row.name.endswith("close")]
    kept = [row for row in rows if row not in close]
    return [
        Table("keep-alive", "CPU of one request on a connection that stays", COLUMNS["keep-alive"], kept, skipped),
        Table("close", "CPU of one request that brings its connection", COLUMNS["close"], close),
        Table("breakdown", "Where it goes, us CPU a request", COLUMNS["breakdown"], rows),
    ]
