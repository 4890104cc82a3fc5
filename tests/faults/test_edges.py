"""Edges are killed, replaced or stopped, lose their clients, or run out of descriptors."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from functools import partial
from urllib.parse import urlsplit

import httpx
import pytest

from tests.faults.conftest import Experiment
from tests.faults.means import processes
from tests.faults.means.proxy import reset
from tests.faults.oracle import HTTP, Oracle
from tests.faults.verdicts import fault
from tests.support.api_client import ApiClient
from tests.support.waiting import wait_until

slow = pytest.mark.faults
pytestmark = pytest.mark.timeout(1200)


@fault(1, "kill -9 of one edge, 10 times", means="SIGKILL at random moments", broken=True)
def test_one_edge_is_killed_repeatedly(experiment: Experiment) -> None:
    with experiment() as oracle:
        for _ in oracle.rounds():
            for _ in range(10):
                time.sleep(oracle.random.uniform(0, 0.5))
                pids = wait_until(lambda: oracle.product.pids("edge"), "an edge runs", every=0.02)
                os.kill(oracle.random.choice(pids), signal.SIGKILL)


@slow
@fault(1, "kill -9 of one edge, 50 times", means="SIGKILL at random moments, one of four edges", broken=True)
def test_one_edge_is_killed_fifty_times(experiment: Experiment) -> None:
    with experiment(workers=4) as oracle:
        for _ in oracle.rounds():
            for _ in range(50):
                # An edge that dies young is restarted late, so kill the oldest, which is about five seconds old.
                time.sleep(oracle.random.uniform(0.2, 2))
                pids = wait_until(lambda: oracle.product.pids("edge"), "an edge runs", every=0.02)
                os.kill(min(pids, key=processes.started), signal.SIGKILL)


@slow
@fault(2, "kill -9 of all edges at once, 4 times", means="SIGKILL", broken=True)
def test_all_edges_are_killed_together(experiment: Experiment) -> None:
    with experiment() as oracle:
        for _ in oracle.rounds():
            for _ in range(4):
                time.sleep(oracle.random.uniform(0.2, 2))
                processes.kill(oracle.product, "edge")


@slow
@fault(19, "rolling restart under load, twice", means="SIGHUP to the supervisor")
def test_every_process_is_replaced_under_load(experiment: Experiment) -> None:
    with experiment(drain_seconds=1) as oracle:
        for _ in oracle.rounds():
            for _ in range(2):
                before = _logged(oracle, "rolling restart done")
                os.kill(oracle.product.pid, signal.SIGHUP)
                wait_until(lambda before=before: _logged(oracle, "rolling restart done") > before, "done", 120)  # type: ignore[misc]


@slow
@fault(19, "one edge after the other told to stop, 4 times", means="SIGTERM to the process, not-ready first")
def test_edges_drain_under_load(experiment: Experiment) -> None:
    with experiment(drain_seconds=0.5) as oracle:
        for _ in oracle.rounds():
            for _ in range(4):
                pids = wait_until(lambda: _all_edges(oracle), "both edges run")
                one = oracle.random.choice(pids)
                os.kill(one, signal.SIGTERM)
                processes.wait_gone([one], "it has drained")
                wait_until(lambda: _all_edges(oracle), "its successor runs", 60)


@slow
@fault(20, "told to stop twice while trackers change", means="SIGTERM, and again after 0.2 s", broken=True)
def test_second_sigterm_while_the_configuration_changes(experiment: Experiment) -> None:
    with experiment() as oracle:
        for _ in oracle.rounds():
            over = threading.Event()
            changing = threading.Thread(
                target=_change_trackers, args=(oracle, oracle.product.client(), over), daemon=True
            )
            changing.start()
            time.sleep(oracle.random.uniform(0.5, 1.5))
            os.kill(oracle.product.pid, signal.SIGTERM)
            time.sleep(0.2)
            oracle.product.terminate(seconds=30)
            over.set()
            changing.join()
            oracle.product.start()


@slow
@fault(25, "clients reset in mid-request, 1000 times", means="SO_LINGER 0, closed at random moments")
def test_clients_reset_their_connections(experiment: Experiment) -> None:
    with experiment() as oracle:
        for _ in oracle.rounds():
            at = urlsplit(oracle.product.edge_url)
            for _ in range(1000):
                name = f"i{10**7 + len(oracle.also)}"
                oracle.also.add(name)
                request = f"GET {oracle.path(name)} HTTP/1.1\r\nHost: a\r\n\r\n".encode()
                reset((str(at.hostname), int(at.port or 0)), request, oracle.random.uniform(0, 0.004))


@slow
@fault(
    27, "10,000 connections without a request", means="idle sockets of 20 addresses, a third with half a request line"
)
def test_ten_thousand_idle_connections(experiment: Experiment) -> None:
    # Of one address the edges keep fewer.
    addresses = [f"127.0.0.{number}" for number in range(2, 22)]
    _without_a_request(experiment, addresses, kept=range(9_000, 11_000))


@slow
@fault(27, "10,000 connections of one client without a request", means="idle sockets, a third with half a request line")
def test_ten_thousand_idle_connections_of_one_client(experiment: Experiment) -> None:
    # A thousand at each edge, and what its growing by a sixteenth leaves to the next count.
    _without_a_request(experiment, ["127.0.0.1"], kept=range(2_000, 2_300))


@fault(27, "no descriptor left at the edges, 3 s", means="RLIMIT_NOFILE lowered on running processes, idle sockets")
def test_no_descriptors_are_left(experiment: Experiment) -> None:
    with experiment() as oracle:
        for _ in oracle.rounds():
            held: list[socket.socket] = []
            with processes.few_descriptors(oracle.product.pids("edge"), 20):
                held += _idle(oracle, 200, ["127.0.0.1"])
                time.sleep(3)
                for one in held:
                    one.close()


def _all_edges(oracle: Oracle) -> list[int]:
    pids = oracle.product.pids("edge")
    return pids if len(pids) == 2 else []


def _logged(oracle: Oracle, event: str) -> int:
    return oracle.product.stderr.read_text().count(event)


def _change_trackers(oracle: Oracle, client: ApiClient, over: threading.Event) -> None:
    number = 0
    while not over.is_set():
        number += 1
        try:
            client.put("clicktracker", oracle.trackers["c"], {"name": f"Storm {number}"})
        except (httpx.HTTPError, AssertionError):
            over.wait(0.05)


def _without_a_request(experiment: Experiment, addresses: list[str], kept: range) -> None:
    """Open 10,000 idle connections; the edges keep so many descriptors, answer others, and close all in the end."""
    processes.need_descriptors(12_000)
    with experiment() as oracle:
        for _ in oracle.rounds():
            held = _idle(oracle, 10_000, addresses)
            try:
                assert HTTP.get(f"{oracle.product.edge_url}/livez").status_code == 200
                wait_until(lambda: sum(map(processes.descriptors, oracle.product.pids("edge"))) in kept, "as many kept")
                assert HTTP.get(f"{oracle.product.edge_url}/readyz").status_code == 200
                wait_until(partial(_all_closed, held), "connections without a complete head are closed", 90)
            finally:
                for one in held:
                    one.close()


def _idle(oracle: Oracle, number: int, addresses: list[str]) -> list[socket.socket]:
    """Open that many connections, from each of the addresses in turn; every third sends half a request line."""
    at = urlsplit(oracle.product.edge_url)
    held = []
    for count in range(number):
        source = (addresses[count % len(addresses)], 0)
        one = socket.create_connection((str(at.hostname), int(at.port or 0)), timeout=20, source_address=source)
        one.setblocking(False)
        if count % 3 == 0:
            one.send(b"GET /imptr?id=")
        held.append(one)
    return held


def _all_closed(held: list[socket.socket]) -> bool:
    return all(_closed(one) for one in held)


def _closed(one: socket.socket) -> bool:
    """Return whether the edge has closed the connection; the response to half a request comes before that."""
    try:
        while one.recv(4096):
            pass
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True
