"""The synthetic requests, and the guide for people."""

from __future__ import annotations

import random
import subprocess
from collections import Counter
from urllib.parse import parse_qs, urlsplit

import pytest

from onebyone.demo import guide, traffic
from onebyone.demo.sample import Tracker

TRACKERS = [Tracker("imp", 11, "Banner", 9), Tracker("clk", 12, "Click", 1)]


def test_hits_are_bounded_weighted_varied_and_never_cached() -> None:
    hits = list(traffic.generate_hits(TRACKERS, 1000, random.Random(1)))
    assert len(hits) == 1000
    paths = Counter(urlsplit(hit.path).path for hit in hits)
    assert 800 < paths["/imptr"] < 980
    queries = [parse_qs(urlsplit(hit.path).query) for hit in hits]
    assert len({query["cachebuster"][0] for query in queries}) == 1000
    assert {query.get("ancost", [""])[0] for query in queries} == set(traffic.COSTS)
    assert {query["t"][0] for query in queries if "t" in query} == {"1", "2"}
    assert {hit.headers["User-Agent"] for hit in hits} == set(traffic.USER_AGENTS)
    assert {hit.headers.get("Referer", "") for hit in hits} == set(traffic.REFERRERS)


def test_hits_to_an_unreachable_edge_count_as_sent_only() -> None:
    sender = traffic.Sender("http://127.0.0.1:1")
    for hit in traffic.generate_hits(TRACKERS, 3, random.Random(1)):
        sender.send(hit)
    assert (sender.sent, sender.recorded) == (3, 0)


@pytest.mark.parametrize(
    ("tracker", "tags"),
    [
        (
            TRACKERS[0],
            [
                '<img src="http://e/imptr?id=11&t=2&cachebuster=[CACHEBUSTER]&ancost=[ANCOST]" width="1" height="1" />',
                '<script src="http://e/imptr?id=11&t=1&cachebuster=[CACHEBUSTER]&ancost=[ANCOST]" '
                'type="text/javascript"></script>',
            ],
        ),
        (TRACKERS[1], ["http://e/clktr?id=12&cachebuster=[CACHEBUSTER]&ancost=[ANCOST]"]),
    ],
)
def test_tags(tracker: Tracker, tags: list[str]) -> None:
    assert guide.render_tag(tracker, "http://e").splitlines() == tags


@pytest.mark.processes
def test_the_shell_lines_are_valid_shell() -> None:
    text = guide.render_guide(TRACKERS, "http://e", "http://a", "admin", "Demo-1-x_Y")
    script = text[text.index("TOKEN=") :]
    assert subprocess.run(["sh", "-n"], input=script, text=True, check=False).returncode == 0
    assert """-d '{"auth": {"username": "admin", "password": "Demo-1-x_Y"}}'""" in script
