"""Kill edge, counter and Valkey under traffic, then compare: every recorded answer is in the report exactly once.

`python -m tests.faults.kill_storm --impressions 20000 --clicks 2000 --kills 5` runs it against a separate product and
prints the figures with the seed, which repeats the run.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import sqlite3
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import orjson

from onebyone.contracts import batches
from tests.support import process_guard
from tests.support.api_client import ApiClient
from tests.support.product import Product, start_product
from tests.support.traffic import Answers, Traffic
from tests.support.waiting import wait_until

ROLES = ("edge", "counter", "valkey")


@dataclass(frozen=True)
class Account:
    """The answers of a run, and what the report holds of them."""

    seed: int
    killed: Counter[str]
    impressions: Answers
    clicks: Answers
    counted: Counter[str]
    """Events in the archive by cachebuster."""
    report_impressions: int
    report_clicks: int
    feed_clicks: int

    @property
    def lost(self) -> set[str]:
        """Cachebusters answered `recorded` but not counted."""
        return (self.impressions.recorded | self.clicks.recorded) - set(self.counted)

    @property
    def doubled(self) -> set[str]:
        """Cachebusters counted more than once."""
        return {name for name, times in self.counted.items() if times > 1}

    @property
    def invented(self) -> set[str]:
        """Cachebusters counted although they were refused or never sent."""
        answers = (self.impressions, self.clicks)
        return set(self.counted).difference(*(answer.recorded | answer.in_doubt for answer in answers))

    def late(self, answers: Answers) -> int:
        """Return the number of unanswered requests whose event reached the disk before the edge died."""
        return len(answers.in_doubt & set(self.counted))

    def lines(self) -> list[str]:
        """Return the figures as lines of text."""
        rows = [f"seed {self.seed}; killed: " + ", ".join(f"{role} {self.killed[role]}x" for role in ROLES)]
        for name, answers, report in (
            ("impressions", self.impressions, self.report_impressions),
            ("clicks", self.clicks, self.report_clicks),
        ):
            late = self.late(answers)
            rows.append(
                f"{name}: sent {answers.sent}, recorded {len(answers.recorded)}, refused {len(answers.refused)}, "
                f"unanswered {len(answers.in_doubt)} (of these on disk before the kill: {late}); "
                f"report {report} = {len(answers.recorded)} + {late}"
            )
        rows.append(f"lost {len(self.lost)}, doubled {len(self.doubled)}, invented {len(self.invented)}")
        return rows

    def check(self) -> None:
        """Raise AssertionError unless report and answers agree exactly."""
        assert not self.lost, sorted(self.lost)[:10]
        assert not self.doubled, sorted(self.doubled)[:10]
        assert not self.invented, sorted(self.invented)[:10]
        assert self.report_impressions == len(self.impressions.recorded) + self.late(self.impressions)
        assert self.report_clicks == len(self.clicks.recorded) + self.late(self.clicks)
        assert self.feed_clicks == self.report_clicks


def make_trackers(client: ApiClient) -> tuple[int, int]:
    """Create an impression and a click tracker; return their ids."""
    advertiser = client.create("advertiser", {"name": "Storm"})["id"]
    publisher = client.create("publisher", {"name": "Storm"})["id"]
    line_item = client.create("line-item", {"name": "Storm"}, advertiser_id=advertiser)["id"]
    common = {"publisher": {"id": publisher}, "line_item": {"id": line_item}}
    impression = client.create("imptracker", {"name": "Storm", **common}, advertiser_id=advertiser)["id"]
    click = client.create(
        "clicktracker", {"name": "Storm", "click_url": "https://landing.example/", **common}, advertiser_id=advertiser
    )["id"]
    return impression, click


def run(product: Product, impressions: int, clicks: int, kills: int, seed: int) -> Account:
    """Send the events while each role is killed `kills` times, wait until all are counted, and return the account."""
    generator = random.Random(seed)
    client = product.client()
    impression, click = make_trackers(client)
    sent = [
        Traffic(product.edge_url, lambda name: f"/imptr?id={impression}&cachebuster={name}", clients=6, prefix="i"),
        Traffic(product.edge_url, lambda name: f"/clktr?id={click}&cachebuster={name}", clients=2, prefix="c"),
    ]
    wait_until(lambda: _is_live(product, impression, click), "trackers are live", every=0.1)
    sent[0].start(impressions, pause=0.004)
    sent[1].start(clicks, pause=0.012)
    killed: Counter[str] = Counter()
    schedule = list(ROLES) * kills
    generator.shuffle(schedule)
    for role in schedule:
        time.sleep(generator.uniform(0.05, 0.8))
        pid = generator.choice(wait_until(lambda role=role: product.pids(role), f"{role} runs", every=0.02))  # type: ignore[misc]
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            killed[role] += 1
    answers = [traffic.wait() for traffic in sent]
    product.wait_ready()
    expected = answers[0].recorded | answers[1].recorded
    wait_until(lambda: expected <= set(archived(product.data_dir)), "all recorded events are counted", 120, every=0.5)
    counted = archived(product.data_dir)
    now = datetime.now(UTC)
    yesterday = (now - timedelta(hours=23)).strftime("%Y-%m-%d %H:00:00")
    tomorrow = (now + timedelta(hours=1)).strftime("%Y-%m-%d %H:00:00")
    columns = ["external_impression", "external_click"]
    window = {"start_date": yesterday, "end_date": tomorrow, "timezone": "UTC"}
    (totals,) = client.run_report({"report_type": "network_analytics", "columns": columns, **window})
    feed = client.run_report({"report_type": "clicktrackers", "columns": ["auction_id"], **window})
    return Account(
        seed,
        killed,
        answers[0],
        answers[1],
        counted,
        int(totals["external_impression"]),
        int(totals["external_click"]),
        len({row["auction_id"] for row in feed}),
    )


def archived(data_dir: Path) -> Counter[str]:
    """Return the number of archived events by cachebuster, without those that are kept uncounted."""
    with contextlib.closing(sqlite3.connect(data_dir / "reports.sqlite3", timeout=30)) as store:
        payloads = [payload for (payload,) in store.execute("SELECT payload FROM archive")]
    events = (orjson.loads(line) for payload in payloads for line in batches.unpack(payload))
    return Counter(event["cb"] for event in events if "reason" not in event)


def _is_live(product: Product, impression: int, click: int) -> bool:
    paths = (f"/imptr?id={impression}", f"/clktr?id={click}")
    return all(httpx.head(product.edge_url + path).headers["x-onebyone"] == "ignored; reason=head" for path in paths)


def main() -> None:
    """Run the command."""
    process_guard.begin()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--impressions", type=int, default=20_000)
    parser.add_argument("--clicks", type=int, default=2_000)
    parser.add_argument("--kills", type=int, default=5, help="of each role")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        product = start_product(Path(folder) / "data", workers=2)
        try:
            account = run(product, arguments.impressions, arguments.clicks, arguments.kills, arguments.seed)
        finally:
            product.stop()
    print("\n".join(account.lines()))
    account.check()
    print("every recorded answer is in the report exactly once")


if __name__ == "__main__":
    main()
