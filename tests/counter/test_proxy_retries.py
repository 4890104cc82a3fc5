"""Requests of a proxy that reached several edges."""

from __future__ import annotations

import orjson
import pytest

from onebyone.counter import metrics, proxy_retries
from onebyone.counter.counting import BatchTotals
from onebyone.counter.proxy_retries import ProxyRetries
from tests.counter.harness import event

TS = 1_790_000_000_000


def retried(retries: ProxyRetries, *requests: tuple[str, int]) -> float:
    before = metrics.PROXY_RETRIES._value.get()
    retries.note(requests)
    return float(metrics.PROXY_RETRIES._value.get() - before)


@pytest.mark.parametrize(
    ("requests", "expected"),
    [
        ([("a", TS), ("b", TS)], 0),
        ([("a", TS), ("a", TS + 1000)], 1),
        ([("a", TS), ("a", TS - 1000)], 1),
        ([("a", TS), ("a", TS + 1001)], 0),
        ([("a", TS), ("a", TS + 600), ("a", TS + 1200)], 2),
    ],
    ids=["others", "again", "the first arrives last", "later", "twice again"],
)
def test_the_same_request_again(requests: list[tuple[str, int]], expected: int) -> None:
    assert retried(ProxyRetries(), *requests) == expected
    retries = ProxyRetries()
    assert sum(retried(retries, request) for request in requests) == expected, "in batches of several shards"


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxy_retries, "REQUESTS_REMEMBERED", 80)
    retries = ProxyRetries()
    retries.note((str(number), TS) for number in range(500))
    assert len(retries._seen) <= 80
    assert retried(retries, ("499", TS)) == 1


def test_events_name_their_request() -> None:
    totals = BatchTotals(0)
    records = [event(ts=TS), event(ts=TS, rid="a" * 16), event(ts=TS, rid=["odd"] * 99)]
    totals.count([orjson.dumps(record) for record in records], None)
    assert totals.events == 3
    assert [(name[:2], len(name), ts) for name, ts in totals.proxy_requests] == [("aa", 16, TS), ("['", 16, TS)]
