"""Plain tag requests on real sockets: when they are answered, and what then becomes of their connection."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from tests.edge.fastpath.in_process_edge import RECORDED, InProcessEdge
from tests.edge.requests import HEAD, impression

pytestmark = pytest.mark.anyio


async def test_response_waits_for_the_disk(edge: InProcessEdge) -> None:
    client = edge.connect(1)
    await edge.poll()
    assert (client.read(), edge.commits.flushes) == (b"", 1)
    edge.commits.sync()
    answer = client.read()
    assert answer.startswith(b"HTTP/1.1 200 OK\r\ndate: today\r\ncache-control: ")
    assert RECORDED + b"\r\nGIF89a" in answer


async def test_memory_receipt_responds_before_the_sync(start_edge: Any) -> None:
    edge = start_edge(receipt="memory")
    client = edge.connect(1)
    await edge.poll()
    assert RECORDED + b"\r\nGIF89a" in client.read()
    edge.commits.sync()
    assert (client.read(), len(edge.commits.events), edge.commits.flushes) == (b"", 1, 0)


@pytest.mark.parametrize("receipt", ["disk", "memory"])
async def test_overload_is_answered_503(start_edge: Any, receipt: str) -> None:
    edge = start_edge(receipt=receipt)
    edge.commits.full = True
    client = edge.connect(1)
    await edge.poll()
    answer = client.read()
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"\r\nx-onebyone: ignored; reason=overload\r\n\r\nGIF89a" in answer


async def test_journal_failure_is_answered_503(edge: InProcessEdge) -> None:
    client = edge.connect(1)
    await edge.poll()
    edge.commits.sync(ok=False)
    answer = client.read()
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"\r\nx-onebyone: ignored; reason=journal\r\n\r\nGIF89a" in answer


async def test_connection_is_kept_alive(edge: InProcessEdge) -> None:
    client = edge.connect()
    for number in range(5):
        client.send(impression(number))
        await edge.settle()
        assert client.read().count(RECORDED) == 1
    assert len(edge.commits.events) == 5


async def test_second_request_stays_in_the_kernel_until_the_first_is_answered(edge: InProcessEdge) -> None:
    client = edge.connect(1)
    await edge.poll()
    client.send(impression(2))
    await edge.poll()
    assert len(edge.commits.events) == 1
    edge.commits.sync()
    await edge.poll()
    assert (client.read().count(RECORDED), len(edge.commits.events)) == (1, 2)
    edge.commits.sync()
    assert client.read().count(RECORDED) == 1


async def test_event_is_kept_when_the_client_disconnects_before_its_response(edge: InProcessEdge) -> None:
    client = edge.connect(1)
    await edge.poll()
    client.socket.close()
    await edge.poll()
    await edge.settle()
    assert len(edge.commits.events) == 1
    await edge.poll()
    assert edge.acceptor._connections == {}
    edge.shut_down()
    assert edge.state.connections == set()


async def test_half_closed_client_gets_its_response(edge: InProcessEdge) -> None:
    client = edge.connect(1)
    client.socket.shutdown(socket.SHUT_WR)
    await edge.settle()
    assert RECORDED in client.read()
    await edge.poll()
    assert client.closed()


async def test_connection_close_is_honoured(edge: InProcessEdge) -> None:
    client = edge.connect()
    client.send(HEAD + b"Connection: close\r\n\r\n")
    await edge.poll()
    assert not client.closed()
    edge.commits.sync()
    assert b"\r\nconnection: close\r\n\r\nGIF89a" in client.read()
    assert client.closed()


async def test_shutdown_while_awaiting_the_disk_closes_after_the_response(edge: InProcessEdge) -> None:
    client = edge.connect(1)
    await edge.poll()
    edge.shut_down()
    assert len(edge.state.connections) == 1
    assert not client.closed()
    edge.commits.sync()
    assert b"\r\nconnection: close\r\n\r\nGIF89a" in client.read()
    assert client.closed()
    assert edge.state.connections == set()


async def test_failing_submit_closes_the_connections_of_its_batch(
    edge: InProcessEdge, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    client = edge.connect(1)
    with monkeypatch.context() as patched:
        patched.setattr(edge.recorder._ids, "head_line", fail)
        await edge.poll()
    assert client.closed()
    another = edge.connect(2)
    await edge.settle()
    assert RECORDED in another.read()


async def test_failing_response_closes_a_held_connection(edge: InProcessEdge, monkeypatch: pytest.MonkeyPatch) -> None:
    client = edge.connect(1)
    await edge.poll()
    with monkeypatch.context() as patched:
        patched.setattr(edge.acceptor.responses, "render", None)
        edge.commits.sync()
    assert client.closed()
    assert edge.acceptor._connections == {}
