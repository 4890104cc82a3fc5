"""`python -m onebyone.demo`: waits for edge and API, makes the sample, sends the traffic, and ends."""

from __future__ import annotations

import argparse
import random
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from functools import partial

from onebyone.demo import guide, sample, traffic
from onebyone.demo.api import Api, ApiError
from onebyone.demo.tether import SupervisorGoneError, Tether
from onebyone.runtime.role import REFUSED
from onebyone.settings import Settings

READY_SECONDS = 60.0
PROGRESS_SECONDS = 10.0


def main(settings: Settings, events: int, rate: float) -> int:
    """The exit code."""
    tether = Tether()
    edge_url, api_url = (_reach(settings.host, port) for port in (settings.edge_port, settings.api_port))
    api = Api(api_url)
    password = settings.admin_password.get_secret_value()
    try:
        for url in (edge_url, api_url):
            _wait(tether, f"{url} is not ready", partial(_ready, url))
        api.log_in(settings.admin_username, password)
        trackers = sample.make(api)
        print(guide.text(trackers, settings.edge_url, api_url, settings.admin_username, password), flush=True)
        tether.ready()
        sender = traffic.Sender(edge_url)
        for tracker in trackers:
            _wait(tether, f"{edge_url} does not know tracker {tracker.id}", partial(sender.is_known, tracker))
        _run(api, sender, trackers, events, rate, tether)
    except ApiError as error:
        print(f"onebyone demo: {error}", file=sys.stderr, flush=True)
        return REFUSED
    except SupervisorGoneError:
        return 0
    return 0


def _run(
    api: Api, sender: traffic.Sender, trackers: list[sample.Tracker], events: int, rate: float, tether: Tether
) -> None:
    chance = random.Random()  # noqa: S311
    shown = time.monotonic()
    for hit in traffic.hits(trackers, events, chance):
        sender.send(hit)
        tether.pause(chance.uniform(0.5, 1.5) / rate)
        if time.monotonic() - shown > PROGRESS_SECONDS:
            shown = time.monotonic()
            _show(api, sender)
    tether.pause(2.0)
    _show(api, sender)
    print("demo traffic has ended; everything else keeps running until Ctrl-C", flush=True)


def _show(api: Api, sender: traffic.Sender) -> None:
    rows = api.report({**guide.REPORT, "columns": ["external_impression", "external_click"]})
    counted = sum(int(row["external_impression"]) + int(row["external_click"]) for row in rows)
    print(f"demo: {sender.sent} sent, {sender.recorded} recorded; {counted} in the report since ever", flush=True)


def _wait(tether: Tether, trouble: str, done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while not done():
        if time.monotonic() > deadline:
            raise ApiError(f"{trouble} after {READY_SECONDS:.0f} s")
        tether.pause(0.1)


def _ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=5) as answer:  # noqa: S310
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _reach(host: str, port: int) -> str:
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="onebyone.demo", description=__doc__)
    parser.add_argument("--events", type=int, default=2000, help="requests to send")
    parser.add_argument("--rate", type=float, default=5.0, help="requests a second, about")
    options = parser.parse_args()
    sys.exit(main(Settings(), options.events, options.rate))
