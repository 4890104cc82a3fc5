"""The obligation ledger: note every answer to a constant load; after a fault, look each up in the report store.

An answer `recorded` is an obligation, and so is a reason that says that the event is kept. After the fault:
C  conservation: each obligation is in the archive exactly once
I  integrity: the archive holds nothing that was not sent, and each event as it was sent (kind, tracker, cost)
L  liveness: a new event is recorded and counted
R  agreement: the report's totals equal the archived events that are counted, and the sums of each reason those kept
"""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import httpx

from tests.faults.archive import Archive, ArchivedEvent
from tests.faults.kill_storm import make_trackers
from tests.faults.verdicts import Fault, Verdict
from tests.support.product import Product
from tests.support.traffic import Traffic
from tests.support.waiting import wait_until

RATE = 60.0
"""Impressions per second."""
CLICKS = 0.25
"""Clicks per impression."""

PREFETCH_EVERY = 8
"""One request in so many is a prefetch: often enough to be in flight whatever the fault is."""
LOAD_END = 10**7
"""The numbers of the load are smaller, those of the requests that experiments send are not."""
FIRST_HEAD = 5 * 10**9
"""The number of the first HEAD request; those of counted requests are smaller."""

HTTP = httpx.Client(timeout=20, limits=httpx.Limits(max_keepalive_connections=0))
"""Opens a connection per request, so that any edge may accept it. Shared: a new client reads all certificates."""


def cost_of(name: str) -> int:
    """Return the `ancost` of the request of this name, in micros; it differs from one request to the next."""
    return int(name[1:]) % 9973


def is_prefetch(name: str) -> bool:
    """Return whether the request of this name is one of the load's prefetches, whose events are kept uncounted."""
    return int(name[1:]) < LOAD_END and int(name[1:]) % PREFETCH_EVERY == 0


class Oracle:
    """Sends a load during each of the `rounds` and checks after it; at most `clients` requests wait for an answer."""

    def __init__(
        self,
        product: Product,
        fault: Fault,
        generator: random.Random,
        note: Callable[[Verdict], None],
        *,
        rate: float = RATE,
        clients: int = 8,
    ) -> None:
        self.product = product
        self.fault = fault
        self.random = generator
        self.owed: set[str] = set()
        """Obligations that an experiment has added."""
        self.also: set[str] = set()
        """Requests in doubt that an experiment has sent."""
        self.archive = Archive(product)
        self._note = note
        self._rate = rate
        self._clients = clients
        self._traffic: list[Traffic] = []
        self._recorded = 0
        self._heads = itertools.count(FIRST_HEAD)
        self.kept: set[str] = set()
        """Obligations that are not counted: HEAD requests of this oracle."""
        self.verdicts: list[Verdict] = []
        """One per round."""
        self.client = product.client()
        self.trackers = dict(zip("ic", make_trackers(self.client), strict=True))
        wait_until(lambda: all(map(self.answers_head, "ic")), "trackers are live")

    def path(self, name: str) -> str:
        """Return the path of the request of this name, whose first letter is its kind."""
        page = {"i": "imptr", "c": "clktr"}[name[0]]
        return f"/{page}?id={self.trackers[name[0]]}&cachebuster={name}&ancost={cost_of(name) / 1e6:.6f}"

    def answers_head(self, prefix: str) -> bool:
        """Return whether the edge answers a HEAD for the tracker of this kind as one that it keeps and never counts."""
        name = f"{prefix}{next(self._heads)}"
        self.also.add(name)
        answer = HTTP.head(self.product.edge_url + self.path(name))
        kept = bool(answer.headers.get("x-onebyone") == "ignored; reason=head")
        if kept:
            self.kept.add(name)
        return kept

    def seconds_to_answer(self, since: float, share: float = 0.9) -> float:
        """Return the seconds within which that share of the requests since then (monotonic) was answered."""
        took = sorted(
            seconds for traffic in self._traffic for when, seconds in list(traffic.answers.took) if when > since
        )
        assert len(took) > 20, f"only {len(took)} answers"
        return took[int(len(took) * share)]

    def rounds(self, *, doubtful: bool = False, seconds: float = 90.0) -> Iterator[int]:
        """Repeat an experiment on one product: start the load, let the loop's body cause the fault, check every answer.

        `doubtful`: an event that a failed sync refused may be on disk nevertheless.
        """
        for number in range(1, 1 + int(os.environ.get("ONEBYONE_FAULT_REPEATS", "1"))):
            self._begin(number)
            try:
                time.sleep(0.5)
                yield number
                over = time.monotonic()
                time.sleep(1.0)
            finally:
                self.stop()
            self._settle(over, doubtful, seconds)

    def stop(self) -> None:
        """End the load."""
        for traffic in self._traffic:
            traffic.stop()

    def _begin(self, number: int) -> None:
        for prefix, clients, rate in (
            ("i", self._clients, self._rate),
            ("c", max(1, self._clients // 4), self._rate * CLICKS),
        ):
            traffic = Traffic(self.product.edge_url, self.path, clients, prefix, number * 10**6, is_prefetch)
            self._traffic.append(traffic)
            traffic.start(rate=rate)

    def _settle(self, over: float, doubtful: bool, seconds: float) -> None:
        self.product.wait_ready()
        fresh = f"i{10**9 + len(self.owed)}"
        wait_until(lambda: self._fire(fresh), "a new event is recorded")
        self.owed.add(fresh)
        answers = [traffic.answers for traffic in self._traffic]
        self.answers_head("i")
        recorded = self.owed.union(self.kept, *(answer.recorded for answer in answers))
        refused = set[str]().union(*(answer.refused for answer in answers))
        in_doubt = set[str]().union(*(answer.in_doubt for answer in answers))
        allowed = recorded | in_doubt | self.also | (refused if doubtful else set())
        with contextlib.suppress(AssertionError):
            wait_until(lambda: self.archive.holds(recorded), "all is counted", seconds, every=0.3)
        took = time.monotonic() - over
        time.sleep(0.5)
        counted = self.archive.read()
        newest = answers[-2:]
        verdict = Verdict(
            obligations=len(recorded) - self._recorded,
            lost=len(recorded - set(counted)),
            doubled=sum(len(events) > 1 for events in counted.values()),
            invented=len(set(counted) - allowed),
            altered=sum(not self._as_sent(name, event) for name, events in counted.items() for event in events),
            refused=dict(sum((answer.reasons for answer in newest), Counter[str]())),
            unanswered=sum(len(answer.in_doubt) for answer in newest),
            seconds=took,
        )
        self._recorded = len(recorded)
        self._note(verdict)
        self.verdicts.append(verdict)
        print(verdict)
        assert (verdict.lost, verdict.doubled, verdict.invented, verdict.altered) == (0, 0, 0, 0), verdict
        assert set(verdict.refused) <= set(self.fault.refused), f"refused, and may not be: {verdict}"
        assert self.fault.broken or not verdict.unanswered, f"a connection broke, and may not: {verdict}"
        assert verdict.obligations > 20
        self._agree(counted)

    def _as_sent(self, name: str, event: ArchivedEvent) -> bool:
        kind = {"i": "imp", "c": "clk"}[name[0]]
        reason = "head" if int(name[1:]) >= FIRST_HEAD else "prefetch" if is_prefetch(name) else ""
        return event[1:] == (kind, self.trackers[name[0]], cost_of(name), reason) and 0 < event.id < 2**63

    def _agree(self, counted: dict[str, list[ArchivedEvent]]) -> None:
        events = [event for several in counted.values() for event in several]
        assert len({event.id for event in events}) == len(events)
        kinds = Counter(event.kind for event in events if not event.reason)
        now = datetime.now(UTC)
        window = {
            "start_date": (now - timedelta(hours=22)).strftime("%Y-%m-%d %H:00:00"),
            "end_date": (now + timedelta(hours=2)).strftime("%Y-%m-%d %H:00:00"),
            "timezone": "UTC",
        }
        columns = ["external_impression", "external_click"]
        (totals,) = self.client.run_report({"report_type": "network_analytics", "columns": columns, **window})
        assert {name: int(value) for name, value in totals.items()} == {
            "external_impression": kinds["imp"],
            "external_click": kinds["clk"],
        }
        # Events that no obligation names may still arrive.
        wait_until(lambda: self.archive.kept_sums() == self.archive.kept(), "the sums by reason are what is kept")
        feed = self.client.run_report({"report_type": "clicktrackers", "columns": ["auction_id"], **window})
        assert len({row["auction_id"] for row in feed}) == kinds["clk"]

    def _fire(self, name: str) -> bool:
        answer = HTTP.get(self.product.edge_url + self.path(name))
        return bool(answer.headers.get("x-onebyone") == "recorded")
