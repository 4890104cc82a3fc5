"""Requests that are kept uncounted, on the fast path: in the batch with the others, answered after the same sync."""

from __future__ import annotations

from typing import Any

import pytest
from prometheus_client import REGISTRY

from tests.edge.fastpath.in_process_edge import RECORDED, InProcessEdge
from tests.edge.requests import impression

pytestmark = pytest.mark.anyio

PREFETCH = b"x-onebyone: ignored; reason=prefetch\r\n"


def prefetched(number: int, connection: bytes = b"keep-alive") -> bytes:
    """Return a plain impression that says that it is a prefetch."""
    request = impression(number).replace(b"\r\n\r\n", b"\r\nSec-Purpose: prefetch\r\n\r\n")
    return request.replace(b"keep-alive", connection)


def ignored(reason: str) -> float:
    labels = {"kind": "imp", "reason": reason}
    return REGISTRY.get_sample_value("onebyone_edge_ignored_total", labels) or 0.0


@pytest.mark.parametrize("connection", [b"keep-alive", b"close"])
async def test_kept_and_counted_requests_of_a_batch_are_answered_together(
    edge: InProcessEdge, connection: bytes
) -> None:
    before = ignored("prefetch")
    clients = [edge.connect() for _ in range(3)]
    for number, client in enumerate(clients):
        client.send(prefetched(number, connection) if number == 1 else impression(number))
    await edge.poll()
    assert [client.read() for client in clients] == [b""] * 3
    assert ignored("prefetch") == before, "it is not on disk"
    assert [b'"reason":"prefetch"' in line for line in edge.commits.events].count(True) == 1
    edge.commits.sync()
    await edge.poll()
    texts = [client.read() for client in clients]
    assert [RECORDED in text for text in texts] == [True, False, True]
    assert PREFETCH in texts[1]
    assert clients[1].closed() == (connection == b"close")
    assert ignored("prefetch") - before == 1


async def test_kept_request_is_refused_like_a_counted_one(edge: InProcessEdge) -> None:
    before = ignored("prefetch"), ignored("journal")
    client = edge.connect()
    client.send(prefetched(1))
    await edge.poll()
    edge.commits.sync(ok=False)
    await edge.poll()
    text = client.read()
    assert text.startswith(b"HTTP/1.1 503 ")
    assert b"x-onebyone: ignored; reason=journal\r\n" in text
    assert text.endswith(b"\x3b"), "with the pixel"
    assert (ignored("prefetch") - before[0], ignored("journal") - before[1]) == (0, 1)


async def test_kept_request_is_refused_when_too_many_wait(edge: InProcessEdge) -> None:
    edge.commits.full = True
    client = edge.connect()
    client.send(prefetched(1))
    await edge.poll()
    text = client.read()
    assert text.startswith(b"HTTP/1.1 503 ")
    assert b"reason=overload\r\n" in text


async def test_kept_request_with_a_receipt_from_memory_is_answered_immediately(start_edge: Any) -> None:
    edge = start_edge(receipt="memory")
    before = ignored("prefetch")
    client = edge.connect()
    client.send(prefetched(1))
    await edge.poll()
    assert PREFETCH in client.read()
    assert ignored("prefetch") - before == 1


async def test_what_a_kept_request_says_is_not_remembered(edge: InProcessEdge) -> None:
    edge.commits.quick = True
    client = edge.connect()
    for number, send in enumerate((prefetched, impression, prefetched, impression)):
        client.send(send(number))
        await edge.poll()
        assert (PREFETCH if send is prefetched else RECORDED) in client.read()
    assert [b'"reason"' in line for line in edge.commits.events] == [True, False, True, False]
