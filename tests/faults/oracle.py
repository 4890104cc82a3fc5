"""The obligation ledger: writes down every answer of a constant load, and after a fault asks the report store for each.

An answer `recorded` is an obligation. Once the fault is over:
C  conservation: each obligation is in the archive exactly once
I  integrity: nothing is there that was not sent, and each event is what was sent (kind, tracker, cost)
L  liveness: a new event passes
R  agreement: report totals equal the archived events
"""

from __future__ import annotations

import contextlib
import random
import time
from collections import Counter
from collections.abc import Callable, Set
from datetime import UTC, datetime, timedelta
from types import TracebackType

import httpx

from tests.faults.archive import Archive, Found
from tests.faults.kill_storm import make_trackers
from tests.faults.verdicts import Fault, Verdict
from tests.support.product import Product
from tests.support.traffic import Traffic
from tests.support.waiting import wait_until

RATE = 120.0
"""Impressions a second; clicks are a quarter of it."""
CLICKS = 0.25


def cost_of(name: str) -> int:
    """The `ancost` that a request carries, in micros: different from one to the next, known from its name."""
    return int(name[1:]) % 9973


class Oracle:
    """Sends from `with` on; `settle` ends the load and checks. `clients`: how many may wait for an answer at once."""

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
        self._note = note
        self._rate = rate
        self._client = product.client()
        self.archive = Archive(product)
        self.trackers = dict(zip("ic", make_trackers(self._client), strict=True))
        self._traffic = {
            prefix: Traffic(product.edge_url, self.path, clients=number, prefix=prefix)
            for prefix, number in (("i", clients), ("c", max(1, clients // 4)))
        }
        wait_until(lambda: all(self.says(f"{prefix}0", "ignored; reason=head") for prefix in "ic"), "trackers are live")

    def path(self, name: str) -> str:
        """The path of the request of this name; its first letter is its kind."""
        page = {"i": "imptr", "c": "clktr"}[name[0]]
        return f"/{page}?id={self.trackers[name[0]]}&cachebuster={name}&ancost={cost_of(name) / 1e6:.6f}"

    def says(self, name: str, text: str) -> bool:
        """Whether the edge says this to a HEAD, which is never counted."""
        answer = httpx.head(self.product.edge_url + self.path(name), timeout=20)
        return bool(answer.headers.get("x-onebyone") == text)

    def seconds_to_answer(self, since: float, share: float = 0.9) -> float:
        """What so many of the requests answered since then (monotonic) took at most."""
        took = sorted(
            seconds
            for traffic in self._traffic.values()
            for when, seconds in list(traffic.answers.took)
            if when > since
        )
        assert len(took) > 20, f"only {len(took)} answers"
        return took[int(len(took) * share)]

    def __enter__(self) -> Oracle:
        self._traffic["i"].start(rate=self._rate)
        self._traffic["c"].start(rate=self._rate * CLICKS)
        time.sleep(0.5)
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        for traffic in self._traffic.values():
            traffic.stop()

    def settle(
        self,
        *,
        also: Set[str] = frozenset(),
        owed: Set[str] = frozenset(),
        doubtful: bool = False,
        seconds: float = 90.0,
    ) -> Verdict:
        """Goes on for a moment, then checks.

        `also` names requests in doubt that others have sent, `owed` further obligations. `doubtful`: what a failed sync
        refused may be on disk all the same.
        """
        over = time.monotonic()
        time.sleep(1.0)
        for traffic in self._traffic.values():
            traffic.stop()
        answers = [traffic.answers for traffic in self._traffic.values()]
        recorded = set(owed).union(*(answer.recorded for answer in answers))
        refused = set[str]().union(*(answer.refused for answer in answers))
        in_doubt = set[str]().union(*(answer.in_doubt for answer in answers))
        self.product.wait_ready()
        fresh = f"i{10**9 + self.random.randrange(10**6)}"
        wait_until(lambda: self._fire(fresh), "a new event is recorded")
        recorded.add(fresh)
        allowed = recorded | in_doubt | also | (refused if doubtful else set())
        with contextlib.suppress(AssertionError):
            wait_until(lambda: self.archive.holds(recorded), "all is counted", seconds, every=0.2)
        took = time.monotonic() - over
        time.sleep(0.5)
        counted = self.archive.read()
        verdict = Verdict(
            obligations=len(recorded),
            lost=len(recorded - set(counted)),
            doubled=sum(len(found) > 1 for found in counted.values()),
            invented=len(set(counted) - allowed),
            altered=sum(not self._as_sent(name, event) for name, found in counted.items() for event in found),
            refused=dict(sum((answer.reasons for answer in answers), Counter[str]())),
            unanswered=len(in_doubt),
            seconds=took,
        )
        self._note(verdict)
        print(verdict)
        assert (verdict.lost, verdict.doubled, verdict.invented, verdict.altered) == (0, 0, 0, 0), verdict
        assert set(verdict.refused) <= set(self.fault.refused), f"refused, and may not be: {verdict}"
        assert self.fault.broken or not verdict.unanswered, f"a connection broke, and may not: {verdict}"
        assert verdict.obligations > 30
        self._agree(counted)
        return verdict

    def _as_sent(self, name: str, event: Found) -> bool:
        kind = {"i": "imp", "c": "clk"}[name[0]]
        return event[1:] == (kind, self.trackers[name[0]], cost_of(name)) and 0 < event.id < 2**63

    def _agree(self, counted: dict[str, list[Found]]) -> None:
        events = [event for found in counted.values() for event in found]
        assert len({event.id for event in events}) == len(events)
        kinds = Counter(event.kind for event in events)
        now = datetime.now(UTC)
        window = {
            "start_date": (now - timedelta(hours=22)).strftime("%Y-%m-%d %H:00:00"),
            "end_date": (now + timedelta(hours=2)).strftime("%Y-%m-%d %H:00:00"),
            "timezone": "UTC",
        }
        columns = ["external_impression", "external_click"]
        client = self.product.client()
        (totals,) = client.run_report({"report_type": "network_analytics", "columns": columns, **window})
        assert {name: int(value) for name, value in totals.items()} == {
            "external_impression": kinds["imp"],
            "external_click": kinds["clk"],
        }
        feed = client.run_report({"report_type": "clicktrackers", "columns": ["auction_id"], **window})
        assert len({row["auction_id"] for row in feed}) == kinds["clk"]

    def _fire(self, name: str) -> bool:
        answer = httpx.get(self.product.edge_url + self.path(name), timeout=20)
        return bool(answer.headers.get("x-onebyone") == "recorded")
