"""Measure how the cost of an event and the memory of a tracker grow with the number of trackers.

The cache server holds the records as the API would write them; the hot trackers are requested in rotation. Each row has
a separate edge process, which has looked up its hot trackers before the rounds begin. The cost of these first requests
and the memory that they leave are measured too.
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
"""Maximum number of rounds."""
_FIRST = 1_000_001
"""The lowest id: seven digits, as ids have after years of use."""
_OBJECTS: dict[str, Any] = {
    "advertiser_id": 2_000_001,
    "line_item_id": 2_000_002,
    "publisher_id": 2_000_003,
    "site_id": 2_000_004,
}
_STEP = 2_000
_PASSES = 3
_SETTLE = 20_000
"""Requests before memory is read, enough to fill what the edge remembers of requests in general."""


@dataclass(frozen=True)
class Size:
    """The numbers of configured trackers and of those that are requested."""

    configured: int
    hot: int

    @property
    def name(self) -> str:
        """The name of the row."""
        return f"{self.configured:,} configured, {self.hot:,} hot"

    @property
    def ids(self) -> range:
        """The ids of the hot trackers, spread over all."""
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
    """Fill the cache servers, warm the edges, run all rounds, and return the table."""
    if (reason := wrk.reason_missing()) is not None:
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
        fill_cache(valkey, configured)
        yield valkey
    finally:
        valkey.remove()


def fill_cache(valkey: ValkeyProcess, configured: int) -> None:
    """Write that many records, then the head that announces them."""
    before, _, after = tracker("imp", _FIRST, terms=edges.TERMS, **_OBJECTS).encode().partition(b"%d" % _FIRST)
    with valkey.client() as client:
        for start in range(_FIRST, _FIRST + configured, _STEP):
            numbers = range(start, min(start + _STEP, _FIRST + configured))
            client.mset({keys.tracker_key("imp", number): b"%b%d%b" % (before, number, after) for number in numbers})
    edges.publish(valkey)


def _warm(stack: ExitStack, conditions: Conditions, size: Size, valkey: ValkeyProcess, row: Row) -> Server:
    folder = conditions.folder / f"edge-{size.configured}-{size.hot}"
    process = stack.enter_context(edges.running_edge(folder, valkey))
    pid = edges.edge_pid(process)
    conditions.cores.serves(pid)
    host = process.url.removeprefix("http://")
    # Files of one length, so that the generator affects the shared caches of the cores equally for all.
    requests = browsers.write_requests(folder.with_suffix(".requests"), host, ids=size.ids, least=_REQUESTS)
    known = browsers.write_requests(folder.with_suffix(".known"), host, ids=(edges.TRACKER,))
    _send_all(conditions, Server(process.url, pid, known), _SETTLE)
    memory, cpu = processes.resident_mb(pid), processes.cpu_seconds(pid)
    server = Server(process.url, pid, requests)
    _send_all(conditions, server, size.hot)
    if size.hot >= _SETTLE:
        # The memory of few trackers is less than what a process takes and returns meanwhile.
        row.add(
            {
                "look_micros": (processes.cpu_seconds(pid) - cpu) / size.hot * 1e6,
                "tracker_bytes": (processes.resident_mb(pid) - memory) * 2**20 / size.hot,
            }
        )
    # The edge remembers a tag from its second request on.
    _send_all(conditions, server, size.hot)
    return server


def _send_all(conditions: Conditions, server: Server, count: int) -> None:
    # On a busy machine a look-up may take too long: request the tracker again.
    for _ in range(_PASSES):
        with conditions.cores.loading():
            result = send(server, count, conditions.connections, mark=RECORDED)
        if not result["errors"]:
            return
    raise RuntimeError(f"{result['errors']:.0f} of {count} requests were not recorded")
