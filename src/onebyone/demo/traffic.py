"""Synthetic traffic: one request after another, at a gentle rate, as different browsers would send them."""

from __future__ import annotations

import http.client
import random
import urllib.parse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from onebyone.demo.sample import Tracker

USER_AGENTS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/26.0 Safari/605.1.15",
    "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/26.0 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
)
REFERRERS = (
    "https://news.example/politics/",
    "https://news.example/sports/finals",
    "https://food.example/recipes/soup",
    "https://food.example/",
    "",
)
COSTS = ("", "", "", "0.0015", "0.002", "0.01")
"""`ancost` of an event; empty: the request has none, and the payment rule sets the cost."""

KNOWN = ("ignored; reason=head", "ignored; reason=inactive")
"""How an edge answers HEAD for a tracker that it knows."""


@dataclass(frozen=True, slots=True)
class Hit:
    """One request to the edge."""

    path: str
    headers: dict[str, str]


def generate_hits(trackers: Sequence[Tracker], events: int, chance: random.Random) -> Iterator[Hit]:
    """Yield `events` requests, spread over the trackers by weight."""
    weights = [tracker.weight for tracker in trackers]
    for tracker in chance.choices(trackers, weights, k=events):
        query = {"id": str(tracker.id)}
        if tracker.kind == "imp":
            query["t"] = chance.choice("1222")
        query["cachebuster"] = str(chance.randrange(10**12))
        if cost := chance.choice(COSTS):
            query["ancost"] = cost
        headers = {"User-Agent": chance.choice(USER_AGENTS)}
        if referrer := chance.choice(REFERRERS):
            headers["Referer"] = referrer
        yield Hit(_path(tracker, query), headers)


def _path(tracker: Tracker, query: dict[str, str]) -> str:
    return f"/{'imptr' if tracker.kind == 'imp' else 'clktr'}?{urllib.parse.urlencode(query)}"


class Sender:
    """One keep-alive connection to the edge, reopened when it breaks. Counts what was sent and recorded."""

    def __init__(self, url: str) -> None:
        address = urllib.parse.urlsplit(url)
        self._connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=10)
        self.sent = 0
        self.recorded = 0

    def is_known(self, tracker: Tracker) -> bool:
        """Return whether the edge knows the tracker; HEAD asks without counting."""
        try:
            self._connection.request("HEAD", _path(tracker, {"id": str(tracker.id)}))
            answer = self._connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException):
            self._connection.close()
            return False
        return answer.headers.get("X-OneByOne") in KNOWN

    def send(self, hit: Hit) -> None:
        """Send one request; a failed one counts as sent, not as recorded, and is not repeated."""
        self.sent += 1
        try:
            self._connection.request("GET", hit.path, headers=hit.headers)
            answer = self._connection.getresponse()
            answer.read()
            self.recorded += answer.headers.get("X-OneByOne") == "recorded"
        except (OSError, http.client.HTTPException):
            self._connection.close()
