"""`python -m onebyone.demo`: create the sample, print its tags, send the traffic, and end."""

from __future__ import annotations

import argparse
import random
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from functools import partial

from onebyone.demo.api import Api, ApiError
from onebyone.demo.guide import render_guide
from onebyone.demo.lifeline import DemoLifeline, SupervisorGoneError
from onebyone.demo.progress import Progress
from onebyone.demo.sample import create_sample
from onebyone.demo.traffic import Sender, generate_hits
from onebyone.runtime import role
from onebyone.runtime.addresses import local_url
from onebyone.runtime.exit_codes import REFUSED
from onebyone.runtime.terminal import write_line
from onebyone.settings import Settings

READY_SECONDS = 60.0
"""How long the edge and the API may take to answer, and the edge to learn of the trackers; both take about a second."""
PROGRESS_SECONDS = 10.0
"""Between two lines of progress: often enough to be seen moving, rare enough to leave the guide on the screen."""


def main(settings: Settings, events: int, rate: float) -> int:
    """Return the exit code."""
    lifeline = DemoLifeline()
    edge_url, api_url = (local_url(settings.host, port) for port in (settings.edge_port, settings.api_port))
    api = Api(api_url)
    password = settings.admin_password.get_secret_value()
    try:
        for url in (edge_url, api_url):
            _wait(lifeline, f"{url} is not ready", partial(_is_ready, url))
        api.log_in(settings.admin_username, password)
        trackers = create_sample(api)
        public_url = settings.public_url or edge_url
        write_line(sys.stdout, render_guide(trackers, public_url, api_url, settings.admin_username, password))
        sender = Sender(edge_url)
        progress = Progress(api, sender, lifeline)
        lifeline.report_ready()
        for tracker in trackers:
            _wait(lifeline, f"{edge_url} does not know tracker {tracker.id}", partial(sender.is_known, tracker))
        write_line(sys.stdout, f"demo: sending {events} requests, about {rate:g} a second")
        chance = random.Random()  # noqa: S311
        shown = time.monotonic()
        for hit in generate_hits(trackers, events, chance):
            sender.send(hit)
            lifeline.pause(chance.uniform(0.5, 1.5) / rate)
            if time.monotonic() - shown > PROGRESS_SECONDS:
                write_line(sys.stdout, progress.line())
                shown = time.monotonic()
        write_line(sys.stdout, progress.line())
        write_line(sys.stdout, "demo traffic has ended; everything else keeps running until Ctrl-C")
    except ApiError as error:
        write_line(sys.stderr, f"onebyone demo: {error}")
        return REFUSED
    except SupervisorGoneError:
        return 0
    return 0


def _wait(lifeline: DemoLifeline, trouble: str, done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while not done():
        if time.monotonic() > deadline:
            raise ApiError(f"{trouble} after {READY_SECONDS:.0f} s")
        lifeline.pause(0.1)


def _is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=5) as answer:  # noqa: S310
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="onebyone.demo", description=__doc__)
    parser.add_argument("--events", type=int, default=2000, help="requests to send")
    parser.add_argument("--rate", type=float, default=5.0, help="requests per second, about")
    options = parser.parse_args()
    sys.exit(main(role.read_role_settings("demo"), options.events, options.rate))
