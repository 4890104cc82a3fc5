"""Browsers on a page with our tags: images, scripts and clicks, each request with a different cachebuster.

`verdict.py` runs it. To run it by hand against existing trackers:

    locust -f loadtests/locustfile.py --host http://127.0.0.1:8080 --impression-tracker 1 --click-tracker 1
"""

from __future__ import annotations

import itertools
import json
import secrets
from argparse import ArgumentParser
from collections import Counter
from pathlib import Path
from typing import Any

from locust import FastHttpUser, constant_throughput, events, task
from locust.env import Environment

answers: Counter[str] = Counter()
"""Number of answers by kind and verdict: `imp recorded`, `clk ignored; reason=overload`, `imp unanswered`, ..."""

_run = secrets.token_hex(4)
_numbers = itertools.count(1)


def _options(parser: ArgumentParser) -> None:
    parser.add_argument("--impression-tracker", type=int, required=True, help="id of an active impression tracker")
    parser.add_argument("--click-tracker", type=int, required=True, help="id of a click tracker with a click_url")
    parser.add_argument("--redirect", default="", help="an approved redir target for a part of the clicks")
    parser.add_argument("--answers", default="", help="file for the number of answers by X-OneByOne, JSON")


def _write(environment: Environment, **_: Any) -> None:
    target = environment.parsed_options and environment.parsed_options.answers
    if target:
        Path(target).write_text(json.dumps(answers))


# The event hooks of locust have no types.
events.init_command_line_parser.add_listener(_options)  # type: ignore[no-untyped-call]
events.quitting.add_listener(_write)  # type: ignore[no-untyped-call]


class Browser(FastHttpUser):
    """One browser. It never retries by itself, because a repeated request is a second event."""

    wait_time = constant_throughput(25)
    max_retries = 1
    connection_timeout = 10.0
    network_timeout = 10.0

    @task(6)
    def image(self) -> None:
        """Load an image tag."""
        self._fire("imp", "/imptr image", f"/imptr?id={self._option('impression_tracker')}&t=2", 200)

    @task(2)
    def script(self) -> None:
        """Load a script tag."""
        self._fire("imp", "/imptr script", f"/imptr?id={self._option('impression_tracker')}&t=1", 200)

    @task(1)
    def click(self) -> None:
        """Click through to the tracker's target."""
        self._fire("clk", "/clktr", f"/clktr?id={self._option('click_tracker')}", 302)

    @task(1)
    def redirected_click(self) -> None:
        """Click with a target in the request."""
        redirect = self._option("redirect")
        tail = f"&redir={redirect}" if redirect else ""
        self._fire("clk", "/clktr redir", f"/clktr?id={self._option('click_tracker')}", 302, tail)

    def _option(self, name: str) -> Any:
        return getattr(self.environment.parsed_options, name)

    def _fire(self, kind: str, name: str, path: str, status: int, tail: str = "") -> None:
        url = f"{path}&cachebuster={_run}-{next(_numbers)}{tail}"
        with self.client.get(url, name=name, allow_redirects=False, catch_response=True) as response:
            said = (response.headers or {}).get("X-OneByOne", "unanswered")
            answers[f"{kind} {said}"] += 1
            if response.status_code == status and said == "recorded":
                response.success()
            else:
                response.failure(f"{response.status_code} {said}")
