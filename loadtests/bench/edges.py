"""Edge processes under test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from loadtests.bench.browsers import CLICK, IMPRESSION
from onebyone.contracts.configuration import MemberRecord
from tests.edge.edge_process import EdgeProcess, Publisher, tracker
from tests.support.valkey import ValkeyProcess

TRACKER = 531
TERMS = {"pricing_type": "cpm", "revenue_value": 4_250_000, "cost_cpm": 1_750_000, "commission_cpm": 120_000}
"""Terms of a tracker whose line item and payment rule price its events."""
LANDING = "https://landing.example/offer?campaign=1234567&creative=7654321"


def publish(valkey: ValkeyProcess) -> None:
    """Publish an impression tracker and a click tracker of the same id, and their member."""
    click = tracker("clk", TRACKER, click_url=LANDING, terms=TERMS)
    Publisher(valkey).publish(MemberRecord(7), tracker("imp", TRACKER, terms=TERMS), click)


@contextmanager
def running_edge(folder: Path, valkey: ValkeyProcess, **settings: str) -> Iterator[EdgeProcess]:
    """Run an edge process, which has already recorded a request for each tracker."""
    process = EdgeProcess(folder, valkey.url, journal_overlap_seconds="0", **settings)
    process.start()
    try:
        for target in (IMPRESSION, CLICK):
            if process.get(target.format(id=TRACKER, cachebuster=1)).headers["x-onebyone"] != "recorded":
                raise RuntimeError(f"{target} is not recorded")
        yield process
    finally:
        process.stop()
        process.listener.close()


def edge_pid(process: EdgeProcess) -> int:
    """Return the process id of a running edge."""
    assert process.process is not None
    return process.process.pid
