"""Requests that a proxy has sent before: marked by it, or with its id again for the same tag within a second."""

from __future__ import annotations

import pytest

from onebyone.edge.tags import proxy_retries
from onebyone.edge.tags.proxy_retries import COUNTS, IDS, NOTHING, ProxyRetries

TAG = b"/imptr?id=1&cachebuster=7"


class Clock:
    seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.mark.parametrize("name", IDS)
def test_the_same_id_for_the_same_tag(clock: Clock, name: bytes) -> None:
    retries = ProxyRetries(clock)
    first = retries.look(TAG, [(b"host", b"x"), (name, b"abc")])
    assert (first.retried, len(first.digest)) == (False, 16)
    assert retries.look(TAG, [(name, b"abc")]) == first, "looking twice before the decision is no retry"
    retries.remember(first)
    clock.seconds += 0.9
    again = retries.look(TAG, [(name, b"abc")])
    assert (again.retried, again.digest) == (True, first.digest)
    assert not retries.look(TAG, [(name, b"abd")]).retried
    assert not retries.look(b"/imptr?id=2&cachebuster=7", [(name, b"abc")]).retried
    clock.seconds += 0.2
    assert not retries.look(TAG, [(name, b"abc")]).retried, "after the window"


@pytest.mark.parametrize("name", COUNTS)
def test_a_proxy_that_counts_its_attempts(name: bytes) -> None:
    retries, first = ProxyRetries(), COUNTS[name]
    values = [b"%d" % first, b"%d" % (first + 1), b"12", b"", b"x", b"-1", b"9" * 5000]
    assert [retries.look(TAG, [(name, value)]).retried for value in values] == [False, True, True, *[False] * 4]
    assert retries.look(TAG, [(name, b"12")]).member == b""


def test_the_outermost_id_names_the_request(clock: Clock) -> None:
    retries = ProxyRetries(clock)
    retries.remember(retries.look(TAG, [(b"x-request-id", b"one"), (b"cf-ray", b"ray")]))
    assert retries.look(TAG, [(b"x-request-id", b"two"), (b"cf-ray", b"ray")]).retried


@pytest.mark.parametrize("headers", [[], [(b"user-agent", b"x")], [(b"x-request-id", b"")]])
def test_requests_of_which_nothing_is_said(headers: list[tuple[bytes, bytes]]) -> None:
    retries = ProxyRetries()
    sighting = retries.look(TAG, headers)
    retries.remember(sighting)
    assert (sighting == NOTHING, sighting.member) == (True, b"")


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    monkeypatch.setattr(proxy_retries, "REQUESTS_REMEMBERED", 80)
    retries = ProxyRetries(clock)
    for number in range(500):
        retries.remember(retries.look(TAG, [(b"x-request-id", b"%d" % number)]))
    assert len(retries._seen) <= 80
    assert retries.look(TAG, [(b"x-request-id", b"499")]).retried
