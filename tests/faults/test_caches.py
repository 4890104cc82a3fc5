"""The cache server is frozen or flushed, the stores are away, and announcements of changes are lost."""

from __future__ import annotations

import time
from collections.abc import Callable

import httpx
import pytest

from onebyone.contracts import keys
from tests.faults.conftest import Experiment
from tests.faults.kill_storm import make_trackers
from tests.faults.means import processes
from tests.faults.oracle import HTTP, Oracle
from tests.faults.verdicts import fault
from tests.support.valkey import ValkeyProcess
from tests.support.waiting import wait_until

slow = pytest.mark.faults
pytestmark = pytest.mark.timeout(1200)


@slow
@fault(8, "cache server does not answer, 60 s", means="SIGSTOP")
def test_cache_server_stops_answering(experiment: Experiment, cache: ValkeyProcess) -> None:
    with experiment(cache_url=cache.url) as oracle:
        for _ in oracle.rounds():
            began = time.monotonic()
            time.sleep(5)
            healthy = oracle.seconds_to_answer(began)
            cache.pause()
            began = time.monotonic()
            try:
                time.sleep(60)
                frozen = oracle.seconds_to_answer(began)
            finally:
                cache.resume()
            # A request that waited for the cache would take as long as its timeout, hundreds of times longer.
            assert frozen < 10 * healthy, (frozen, healthy)


@slow
@fault(9, "FLUSHALL on the cache server, 3 times", means="FLUSHALL at random moments")
def test_cache_server_is_flushed(experiment: Experiment, cache: ValkeyProcess) -> None:
    with experiment(cache_url=cache.url) as oracle:
        for number in oracle.rounds():
            for _ in range(3):
                with cache.client() as client:
                    client.flushall()
                time.sleep(oracle.random.uniform(0.3, 1.5))
            # Edges never query the store; the API reads it once each time that it has to fill the cache.
            assert oracle.product.stderr.read_text().count("configuration cache rebuilt") <= 1 + 3 * number


@slow
@fault(
    21,
    "all edges new while the configuration store is away, 60 s",
    means="SIGSTOP of the API, SIGKILL of the edges",
    broken=True,
)
def test_edges_start_while_the_api_is_away(experiment: Experiment) -> None:
    with experiment() as oracle:
        for _ in oracle.rounds():
            with processes.frozen(oracle.product, "api"):
                processes.kill(oracle.product, "edge")
                _answers_again(oracle)
                time.sleep(55)


@slow
@fault(
    21, "all edges new while cache and store are away, 20 s", means="SIGSTOP, SIGKILL of cache and edges", broken=True
)
def test_edges_start_from_their_snapshot(experiment: Experiment, cache: ValkeyProcess) -> None:
    with experiment(cache_url=cache.url) as oracle:
        for _ in oracle.rounds():
            time.sleep(6)
            with processes.frozen(oracle.product, "api"):
                cache.kill()
                processes.kill(oracle.product, "edge")
                _answers_again(oracle)
                time.sleep(20)
                cache.start()


@fault(22, "tracker inactive and active again, click URL changed", means="the API's own PUT")
def test_change_reaches_every_edge(experiment: Experiment) -> None:
    with experiment() as oracle:
        for _ in oracle.rounds():
            _change(oracle, lambda change: change())


@slow
@fault(
    22, "the same with the announcement lost", means="edges stopped, the change's entry cut from the stream of changes"
)
def test_change_reaches_every_edge_without_its_announcement(experiment: Experiment, cache: ValkeyProcess) -> None:
    with experiment(cache_url=cache.url) as oracle, cache.client() as client:
        for _ in oracle.rounds():

            def without_announcement(change: Callable[[], object]) -> None:
                with processes.frozen(oracle.product, "edge"):
                    before = client.get(keys.HEAD)
                    # The server answers a blocked reader immediately, frozen or not: so unblock them all first.
                    for one in client.client_list():
                        if "b" in one["flags"]:
                            client.client_unblock(int(one["id"]))
                    change()
                    wait_until(lambda: client.get(keys.HEAD) != before, "it is published")
                    client.xtrim(keys.CHANGES, maxlen=0, approximate=False)

            _change(oracle, without_announcement)
            assert oracle.product.stderr.read_text().count("missed an announcement") >= 1


def _change(oracle: Oracle, during: Callable[[Callable[[], object]], object]) -> None:
    """Change two trackers that carry no load, and check that each change is soon live at every edge."""
    client = oracle.client
    impression, click = make_trackers(client)
    url = f"{oracle.product.edge_url}/imptr?id={impression}"
    target = "https://elsewhere.example/landing"
    wait_until(lambda: _all(url, "x-onebyone", "ignored; reason=head"), "the new tracker is live")
    for state, says in (("inactive", "ignored; reason=inactive"), ("active", "ignored; reason=head")):
        during(lambda state=state: client.put("imptracker", impression, {"state": state}))  # type: ignore[misc]
        wait_until(lambda says=says: _all(url, "x-onebyone", says), f"{state} is live", 10)  # type: ignore[misc]
    during(lambda: client.put("clicktracker", click, {"click_url": target}))
    url = f"{oracle.product.edge_url}/clktr?id={click}"
    wait_until(lambda: _all(url, "location", target), "the new target is live", 10)


def _all(url: str, header: str, value: str) -> bool:
    return all(HTTP.head(url).headers.get(header) == value for _ in range(20))


def _answers_again(oracle: Oracle) -> None:
    def answered() -> bool:
        try:
            return all(oracle.answers_head(prefix) for prefix in "ic")
        except httpx.HTTPError:
            return False

    wait_until(answered, "new edges know the trackers", 60)
