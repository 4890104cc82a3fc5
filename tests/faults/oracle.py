"""The obligation ledger: writes down every answer of a constant load, and after a fault asks the report store for each.

An answer `recorded` is an obligation. Once the fault is over:
C  conservation: each obligation is in the archive exactly once
I  integrity: nothing is there that was not sent, and each event is what was sent (kind, tracker, cost)
L  liveness: a new event passes
R  report totals equal the archived events
"""

from __future__ import annotations

import contextlib
import random
import sqlite3
import time
from collections import Counter
from collections.abc import Set
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any

import httpx
import orjson

from onebyone import batches
from tests.faults.kill_storm import make_trackers
from tests.support.product import Product
from tests.support.traffic import Traffic
from tests.support.waiting import wait_until

RATE = 120.0
"""Impressions a second; clicks are a quarter of it."""


@dataclass(frozen=True)
class Verdict:
    """One row of the table."""

    fault: str
    seed: int
    obligations: int
    lost: int
    doubled: int
    invented: int
    altered: int
    refused: int
    unanswered: int
    seconds: float
    """From the end of the fault until every obligation and a new event were counted."""


VERDICTS: list[Verdict] = []
"""Of all experiments of this run, for the table at the end."""


def cost_of(name: str) -> int:
    """The `ancost` that a request carries, in micros: different from one to the next, known from its name."""
    return int(name[1:]) % 9973


class Oracle:
    """Sends from `with` on; `settle` ends the load and checks."""

    def __init__(self, product: Product, fault: str, seed: int) -> None:
        self.product = product
        self.fault = fault
        self.seed = seed
        self.random = random.Random(seed)
        self._client = product.client()
        self.trackers = dict(zip("ic", make_trackers(self._client), strict=True))
        self._traffic = {
            prefix: Traffic(product.edge_url, self.path, clients=clients, prefix=prefix)
            for prefix, clients in (("i", 4), ("c", 2))
        }
        wait_until(lambda: all(self._live(prefix) for prefix in "ic"), "trackers are live", every=0.1)

    def path(self, name: str) -> str:
        """The path of the request of this name; its first letter is its kind."""
        page = {"i": "imptr", "c": "clktr"}[name[0]]
        return f"/{page}?id={self.trackers[name[0]]}&cachebuster={name}&ancost={cost_of(name) / 1e6:.6f}"

    def __enter__(self) -> Oracle:
        self._traffic["i"].start(rate=RATE)
        self._traffic["c"].start(rate=RATE / 4)
        time.sleep(0.5)
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        for traffic in self._traffic.values():
            traffic.stop()

    def settle(
        self,
        *,
        also: Set[str] = frozenset(),
        refusals: bool = True,
        doubtful: bool = False,
        seconds: float = 60.0,
    ) -> Verdict:
        """Goes on for a moment, then checks. `also` names requests in doubt that others have sent.

        `refusals`: there may be any. `doubtful`: what a failed sync refused may be on disk all the same.
        """
        over = time.monotonic()
        time.sleep(1.0)
        for traffic in self._traffic.values():
            traffic.stop()
        answers = [traffic.answers for traffic in self._traffic.values()]
        recorded = set[str]().union(*(answer.recorded for answer in answers))
        refused = set[str]().union(*(answer.refused for answer in answers))
        in_doubt = set(also).union(*(answer.in_doubt for answer in answers))
        allowed = recorded | in_doubt | (refused if doubtful else set())
        self.product.wait_ready()
        fresh = f"i{10**9 + self.seed}"
        wait_until(lambda: self._fire(fresh), "a new event is recorded")
        recorded.add(fresh)
        allowed.add(fresh)
        with contextlib.suppress(AssertionError):
            wait_until(lambda: recorded <= set(self.counted()), "all is counted", seconds, every=0.25)
        took = time.monotonic() - over
        time.sleep(0.5)
        counted = self.counted()
        verdict = Verdict(
            self.fault,
            self.seed,
            len(recorded),
            lost=len(recorded - set(counted)),
            doubled=sum(len(found) > 1 for found in counted.values()),
            invented=len(set(counted) - allowed),
            altered=sum(not self._as_sent(name, event) for name, found in counted.items() for event in found),
            refused=len(refused),
            unanswered=len(in_doubt),
            seconds=took,
        )
        VERDICTS.append(verdict)
        print(verdict)
        assert (verdict.lost, verdict.doubled, verdict.invented, verdict.altered) == (0, 0, 0, 0), verdict
        assert refusals or (verdict.refused, len(in_doubt - also)) == (0, 0), verdict
        assert verdict.obligations > 30
        self._agree(counted)
        return verdict

    def counted(self) -> dict[str, list[dict[str, Any]]]:
        """Archived events by cachebuster."""
        found: dict[str, list[dict[str, Any]]] = {}
        with contextlib.closing(sqlite3.connect(self.product.data_dir / "reports.sqlite3", timeout=30)) as store:
            for (payload,) in store.execute("SELECT payload FROM archive"):
                for line in batches.unpack(payload):
                    with contextlib.suppress(orjson.JSONDecodeError):
                        event = orjson.loads(line)
                        # What an experiment has slipped into the stream has no name.
                        if "cb" in event:
                            found.setdefault(event["cb"], []).append(event)
        return found

    def _as_sent(self, name: str, event: dict[str, Any]) -> bool:
        kind = {"i": "imp", "c": "clk"}[name[0]]
        sent = (kind, self.trackers[name[0]], cost_of(name))
        return (event["kind"], event["tracker_id"], event["ancost"]) == sent and 0 < event["id"] < 2**63

    def _agree(self, counted: dict[str, list[dict[str, Any]]]) -> None:
        events = [event for found in counted.values() for event in found]
        assert len({event["id"] for event in events}) == len(events)
        kinds = Counter(event["kind"] for event in events)
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

    def _live(self, prefix: str) -> bool:
        answer = httpx.head(self.product.edge_url + self.path(f"{prefix}0"), timeout=20)
        return answer.headers["x-onebyone"] == "ignored; reason=head"


def table(verdicts: list[Verdict]) -> list[str]:
    """The verdicts for people."""
    head = (
        f"{'fault':52} {'seed':>7} {'obligations':>11} {'lost':>5} {'doubled':>7} {'refused':>7} "
        f"{'unanswered':>10} {'recovered':>10}"
    )
    rows = [
        f"{one.fault:52} {one.seed:7} {one.obligations:11} {one.lost:5} {one.doubled:7} {one.refused:7} "
        f"{one.unanswered:10} {one.seconds:8.1f} s"
        for one in sorted(verdicts, key=lambda one: one.fault)
    ]
    return [head, *rows]
