"""Run a load and print a verdict: whether the answers "recorded" equal the events in the report.

    python -m loadtests.verdict                                   starts a product in a temporary folder
    ONEBYONE_ADMIN_PASSWORD=... python -m loadtests.verdict --edge http://127.0.0.1:8080 --api http://127.0.0.1:8081

The run creates an advertiser, so that other traffic does not disturb it. Loopback only, bounded in time.
Exit code 0: equal. 1: not equal. 2: no verdict.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from tests.support import process_guard
from tests.support.api_client import ApiClient
from tests.support.product import start_product

MAX_SECONDS = 600
DRAIN_SECONDS = 60.0
"""How long the pipeline may take to count what was recorded, on a busy machine."""
SETTLE_SECONDS = 2.0
"""How long to wait after the totals are equal, so that an event counted twice would be seen."""


@dataclass(frozen=True, slots=True)
class Target:
    """A running product."""

    edge_url: str
    api: ApiClient


@dataclass(frozen=True, slots=True)
class Trackers:
    """The trackers that the run requests."""

    advertiser_id: int
    impression: int
    click: int
    redirect: str


@dataclass(frozen=True, slots=True)
class Totals:
    """Numbers of impressions and clicks."""

    impressions: int
    clicks: int

    @property
    def events(self) -> int:
        """The sum of both."""
        return self.impressions + self.clicks


def verdict(recorded: Totals, counted: Totals, others: Counter[str]) -> tuple[str, bool]:
    """Return the lines to print, the verdict last, and whether it is good; an empty run proves nothing and is not."""
    equal = recorded == counted and recorded.events > 0
    lines = [f"answers {said}: {number}" for said, number in sorted(others.items())]
    for name, left, right in (
        ("impressions", recorded.impressions, counted.impressions),
        ("clicks", recorded.clicks, counted.clicks),
    ):
        lines.append(f"{name}: recorded {left}, counted {right}")
    sign = "=" if recorded.events == counted.events else "!="
    lines.append(f"recorded {sign} counted: {recorded.events} {sign} {counted.events}")
    return "\n".join(lines), equal


def create_trackers(api: ApiClient) -> Trackers:
    """Create an advertiser with one impression and one click tracker."""
    mark = f"load test {time.time_ns()}"
    advertiser = api.create("advertiser", {"name": mark})["id"]
    publisher = api.create("publisher", {"name": mark})["id"]
    line_item = api.create("line-item", {"name": mark}, advertiser_id=advertiser)["id"]
    common = {"name": mark, "publisher": {"id": publisher}, "line_item": {"id": line_item}}
    impression = api.create("imptracker", common, advertiser_id=advertiser)["id"]
    landing = {"click_url": "https://shop.example/landing?from=load"}
    click = api.create("clicktracker", common | landing, advertiser_id=advertiser)["id"]
    return Trackers(advertiser, impression, click, "https://shop.example/other?a=1&b=2")


def run_locust(target: Target, trackers: Trackers, users: int, seconds: int) -> Counter[str]:
    """Run the locust file in a separate process, and return the number of answers by kind and `X-OneByOne`."""
    with tempfile.TemporaryDirectory() as folder:
        answers = Path(folder) / "answers.json"
        command = [sys.executable, "-m", "locust", "--locustfile", str(Path(__file__).with_name("locustfile.py"))]
        command += ["--headless", "--only-summary", "--host", target.edge_url, "--users", str(users)]
        # Let users finish their request: one that is cut off may be recorded without an answer.
        command += ["--spawn-rate", str(users), "--run-time", f"{seconds}s", "--stop-timeout", "15"]
        command += ["--impression-tracker", str(trackers.impression), "--click-tracker", str(trackers.click)]
        command += ["--redirect", trackers.redirect, "--answers", str(answers)]
        subprocess.run(command, timeout=seconds + 60, check=False)
        if not answers.exists():
            raise RuntimeError("locust ended without its answers")
        return Counter(json.loads(answers.read_text()))


def counted_totals(target: Target, trackers: Trackers) -> Totals:
    """Return the advertiser's totals over all time, from the report."""
    columns = ["advertiser_id", "external_impression", "external_click"]
    report = {"report_type": "network_analytics", "report_interval": "lifetime", "timezone": "UTC", "columns": columns}
    for row in target.api.run_report(report):
        if row["advertiser_id"] == str(trackers.advertiser_id):
            return Totals(int(row["external_impression"]), int(row["external_click"]))
    return Totals(0, 0)


def wait_for_drain(target: Target, trackers: Trackers, recorded: Totals) -> Totals:
    """Wait, for `DRAIN_SECONDS` at most, until all that was recorded is counted; return the totals shortly after."""
    deadline = time.monotonic() + DRAIN_SECONDS
    counted = counted_totals(target, trackers)
    while counted.events < recorded.events and time.monotonic() < deadline:
        time.sleep(0.25)
        counted = counted_totals(target, trackers)
    time.sleep(SETTLE_SECONDS)
    return counted_totals(target, trackers)


def loopback(url: str) -> str:
    """Return the URL without its last slash; raise `ArgumentTypeError` unless it is on the loopback address."""
    host = urlsplit(url).hostname or ""
    try:
        here = host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        here = False
    if not here:
        raise argparse.ArgumentTypeError(f"{url} is not on the loopback address")
    return url.rstrip("/")


@contextmanager
def target_of(options: argparse.Namespace) -> Iterator[Target]:
    """Yield the named product, or start one for this run."""
    if options.edge and options.api:
        yield Target(options.edge, ApiClient(options.api, options.username, os.environ["ONEBYONE_ADMIN_PASSWORD"]))
        return
    with tempfile.TemporaryDirectory(prefix="onebyone-load-") as folder:
        product = start_product(Path(folder) / "data", workers=2)
        try:
            yield Target(product.edge_url, product.client())
        finally:
            product.stop()


def main() -> int:
    """Run the command and return its exit code."""
    process_guard.begin()
    parser = argparse.ArgumentParser(prog="loadtests.verdict", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--edge", type=loopback, help="URL of a running edge; without it a product is started")
    parser.add_argument("--api", type=loopback, help="URL of its API; the password is ONEBYONE_ADMIN_PASSWORD")
    parser.add_argument("--username", default="admin")
    parser.add_argument("--users", type=int, default=20, help="browsers, 25 requests a second each")
    parser.add_argument("--seconds", type=int, default=10)
    options = parser.parse_args()
    if (options.edge is None) != (options.api is None):
        parser.error("--edge and --api go together")
    if not 0 < options.seconds <= MAX_SECONDS:
        parser.error(f"--seconds is from 1 to {MAX_SECONDS}")
    try:
        with target_of(options) as target:
            trackers = create_trackers(target.api)
            answers = run_locust(target, trackers, options.users, options.seconds)
            recorded = Totals(answers.pop("imp recorded", 0), answers.pop("clk recorded", 0))
            counted = wait_for_drain(target, trackers, recorded)
    except (RuntimeError, AssertionError, KeyError, subprocess.TimeoutExpired) as error:
        print(f"no verdict: {error!r}", file=sys.stderr)
        return 2
    text, equal = verdict(recorded, counted, answers)
    print(text)
    return 0 if equal else 1


if __name__ == "__main__":
    sys.exit(main())
