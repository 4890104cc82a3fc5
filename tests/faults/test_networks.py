"""The network to the stream, cache or SQL server is cut, passes one way only, is lossy, or resets connections."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.conftest import Experiment
from tests.faults.means import processes
from tests.faults.means.proxy import Proxy
from tests.faults.means.wire import Wire
from tests.faults.oracle import Oracle
from tests.faults.verdicts import fault
from tests.support.postgres import PostgresServer
from tests.support.postgres_programs import require_programs
from tests.support.valkey import ValkeyProcess, start_valkey

slow = pytest.mark.faults
pytestmark = pytest.mark.timeout(1200)

WIRE = "network namespace, packets dropped between two TUN devices"


@contextlib.contextmanager
def wired(server: str, tmp_path: Path, chance: random.Random) -> Iterator[tuple[Wire, dict[str, Any]]]:
    """Yield the wire to a server at its far end, and the settings that make the product use that server."""
    wire = Wire(chance)
    with contextlib.ExitStack() as stack:
        stack.callback(wire.close)
        if server == "SQL":
            programs = require_programs()
            postgres = wire.far(lambda: PostgresServer(programs, wire.host))
            stack.callback(postgres.stop)
            yield wire, {"database_url": postgres.fresh_database().replace("127.0.0.1", wire.host)}
        else:
            options = ("--port", "6379", "--bind", wire.host, "--protected-mode", "no")
            valkey = wire.far(lambda: start_valkey(tmp_path / server, *options))
            stack.callback(valkey.remove)
            yield wire, {f"{server}_url": f"redis://{wire.host}:6379"}


def _cut(wire: Wire, oracle: Oracle) -> None:
    time.sleep(oracle.random.uniform(0, 1))
    pids = oracle.product.pids("edge") + oracle.product.pids("counter")
    before = [(processes.descriptors(pid), processes.threads(pid)) for pid in pids]
    wire.cut()
    time.sleep(60)
    after = [(processes.descriptors(pid), processes.threads(pid)) for pid in pids]
    wire.heal()
    grown = [(files - was, more - had) for (files, more), (was, had) in zip(after, before, strict=True)]
    assert all(files <= 16 and more <= 4 for files, more in grown), grown


def _one_way(wire: Wire, oracle: Oracle) -> None:
    for direction in oracle.random.sample([wire.there, wire.back], 2):
        time.sleep(oracle.random.uniform(0, 1))
        direction.loss = 1.0
        time.sleep(10)
        wire.heal()
        time.sleep(2)


def _bad(wire: Wire, oracle: Oracle) -> None:
    wire.there.loss = wire.back.loss = 0.3
    wire.there.delay = wire.back.delay = 0.15
    time.sleep(15)
    wire.heal()


HOW: dict[str, Callable[[Wire, Oracle], None]] = {
    "cut for 60 s": _cut,
    "passes one way only, 10 s each": _one_way,
    "loses 30 % and takes 300 ms, 15 s": _bad,
}


@pytest.mark.parametrize(
    ("server", "how"),
    [
        pytest.param(server, how, marks=[slow, fault(23, f"network to the {server} server {how}", means=WIRE)])
        for server in ("stream", "cache", "SQL")
        for how in HOW
    ],
)
def test_network_fails(experiment: Experiment, tmp_path: Path, chance: random.Random, server: str, how: str) -> None:
    with wired(server, tmp_path, chance) as (wire, settings), experiment(**settings) as oracle:
        for _ in oracle.rounds():
            HOW[how](wire, oracle)
        # TCP alone would wait as long again as the wire was cut.
        assert all(verdict.seconds < 30 for verdict in oracle.verdicts)


@fault(23, "network to the stream server cut for 8 s", means=WIRE)
def test_network_is_cut(experiment: Experiment, tmp_path: Path, chance: random.Random) -> None:
    with wired("stream", tmp_path, chance) as (wire, settings), experiment(**settings) as oracle:
        for _ in oracle.rounds():
            wire.cut()
            time.sleep(8)
            wire.heal()


@slow
@fault(23, "connections to the stream server reset, 20 times", means="TCP proxy")
def test_connections_are_reset(experiment: Experiment, stream: ValkeyProcess) -> None:
    proxy = Proxy(stream.socket_path)
    try:
        with experiment(stream_url=proxy.url) as oracle:
            for _ in oracle.rounds():
                for _ in range(20):
                    proxy.cut()
                    time.sleep(oracle.random.uniform(0, 0.4))
    finally:
        proxy.close()
