"""Whether an event costs more, and how much memory a tracker takes, as there are more trackers.

The records are in the cache server as the API would write them; the hot ones are asked for in rotation. Each row has an
edge process of its own, which has seen its hot trackers before the rounds begin: the first request for a tracker looks
it up, and what that costs and what memory it leaves is read meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from loadtests.bench import browsers, edges, processes, wrk
from loadtests.bench.conditions import Conditions, Server, take_stream
from loadtests.bench.rows import Column, Row, Table
from loadtests.bench.sending import RECORDED, send
from onebyone.contracts import keys
from tests.edge.edge_process import tracker
from tests.support.valkey import ValkeyProcess, start_valkey

ROUNDS = 5
"""At most."""
_FIRST = 1_000_001
"""The lowest id: seven digits, as ids have that were given out for years."""
_OBJECTS: dict[str, Any] = {
    "advertiser_id": 2_000_001,
    "line_item_id": 2_000_002,
    "publisher_id": 2_000_003,
    "site_id": 2_000_004,
}
_STEP = 2_000
_PASSES = 3
_SETTLE = 20_000
"""Requests before memory is read: what is remembered of requests in general is there by then."""


@dataclass(frozen=True)
class Size:
    """How many trackers there are and how many are asked for."""

    configured: int
    hot: int

    @property
    def name(self) -> str:
        """Of the row."""
        return f"{self.configured:,} configured, {self.hot:,} hot"

    @property
    def ids(self) -> range:
        """The hot ones, spread over all."""
        return range(_FIRST, _FIRST + self.configured, self.configured // self.hot)


SIZES = (Size(1_000, 100), Size(1_000_000, 100), Size(1_000_000, 100_000))
_REQUESTS = max(size.hot for size in SIZES)
COLUMNS = {
    "growth": (
        Column("us CPU", "micros", compared=True),
        Column("range", "micros", show="range"),
        Column("x smallest", "micros", 2, SIZES[0].name, compared=True),
        Column("req/s", "rate", 0),
        Column("p99 ms", "p99_ms", 2),
        Column("first look us CPU", "look_micros", 0),
        Column("bytes a tracker", "tracker_bytes", 0, compared=True),
        Column("edge MB", "resident_mb", 0),
    )
}


def run(conditions: Conditions) -> list[Table]:
    """Fills the cache servers, warms the edges, runs all rounds."""
    if (reason := wrk.missing()) is not None:
        return [Table("growth", f"Growth: skipped, {reason}", (), [])]
    conditions.folder.mkdir(parents=True)
    with ExitStack() as stack:
        caches = {
            configured: stack.enter_context(_cache(conditions, configured))
            for configured in {size.configured: None for size in SIZES}
        }
        running = []
        for size in SIZES:
            row = Row(size.name)
            running.append((row, _warm(stack, conditions, size, caches[size.configured], row), caches[size.configured]))
            print(f"  warm: {size.name}", flush=True)
        for valkey in caches.values():
            take_stream(valkey)
        for number in range(rounds := min(ROUNDS, conditions.rounds)):
            for row, server, valkey in running if number % 2 == 0 else running[::-1]:
                conditions.round(row, server, valkey)
            print(f"  round {number + 1} of {rounds}", flush=True)
        for row, server, _ in running:
            row.add({"resident_mb": processes.resident_mb(server.pid)})
    title = "Growth: configured trackers, and hot ones in rotation"
    return [Table("growth", title, COLUMNS["growth"], [row for row, *_ in running])]


@contextmanager
def _cache(conditions: Conditions, configured: int) -> Iterator[ValkeyProcess]:
    valkey = start_valkey(conditions.folder / f"valkey-{configured}", "--appendonly", "no")
    conditions.cores.loads(valkey.pid)
    try:
        fill(valkey, configured)
        yield valkey
    finally:
        valkey.remove()


def fill(valkey: ValkeyProcess, configured: int) -> None:
    """Writes that many records, and then the head that says they are all there."""
    before, _, after = tracker("imp", _FIRST, terms=edges.TERMS, **_OBJECTS).encode().partition(b"%d" % _FIRST)
    with valkey.client() as client:
        for start in range(_FIRST, _FIRST + configured, _STEP):
            numbers = range(start, min(start + _STEP, _FIRST + configured))
            client.mset({keys.tracker("imp", number): b"%b%d%b" % (before, number, after) for number in numbers})
    edges.publish(valkey)


def _warm(stack: ExitStack, conditions: Conditions, size: Size, valkey: ValkeyProcess, row: Row) -> Server:
    folder = conditions.folder / f"edge-{size.configured}-{size.hot}"
    process = stack.enter_context(edges.edge(folder, valkey))
    pid = edges.pid(process)
    conditions.cores.serves(pid)
    host = process.url.removeprefix("http://")
    # Files of one length: what the generator does to the caches that the cores share is then the same for all.
    requests = browsers.write(folder.with_suffix(".requests"), host, ids=size.ids, least=_REQUESTS)
    known = browsers.write(folder.with_suffix(".known"), host, ids=(edges.TRACKER,))
    _send_all(conditions, Server(process.url, pid, known), _SETTLE)
    memory, cpu = processes.resident_mb(pid), processes.cpu_seconds(pid)
    server = Server(process.url, pid, requests)
    _send_all(conditions, server, size.hot)
    if size.hot >= _SETTLE:
        # Of few, what they take is less than what a process takes and gives back meanwhile.
        row.add(
            {
                "look_micros": (processes.cpu_seconds(pid) - cpu) / size.hot * 1e6,
                "tracker_bytes": (processes.resident_mb(pid) - memory) * 2**20 / size.hot,
            }
        )
    # What is remembered of a tag is learnt from the second request for it.
    _send_all(conditions, server, size.hot)
    return server


def _send_all(conditions: Conditions, server: Server, count: int) -> None:
    # Where a look-up took too long, on a busy machine, the tracker is asked for again.
    for _ in range(_PASSES):
        with conditions.cores.loading():
            found = send(server, count, conditions.connections, mark=RECORDED)
        if not found["errors"]:
            return
    raise RuntimeError(f"{found['errors']:.0f} of {count} requests were not recorded")
