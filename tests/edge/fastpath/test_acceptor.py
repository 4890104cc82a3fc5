"""The acceptor on real sockets: accepting, polling, timing out and shutting down."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from onebyone.edge.fastpath import acceptor
from onebyone.edge.journal.group_commit import BATCH_EVENTS
from onebyone.runtime.connection_limits import ConnectionLimits
from tests.edge.fastpath.in_process_edge import RECORDED, InProcessEdge, no_more_files
from tests.edge.requests import HEAD, impression
from tests.support.waiting import eventually

pytestmark = pytest.mark.anyio


async def test_no_connection_is_accepted_after_shutdown(edge: InProcessEdge) -> None:
    edge.shut_down()
    client = edge.connect(1)
    await edge.settle()
    assert (client.read(), edge.commits.events) == (b"", [])


async def test_shutdown_closes_an_idle_connection(edge: InProcessEdge) -> None:
    client = edge.connect(1)
    await edge.settle()
    assert client.read()
    edge.shut_down()
    assert client.closed()


async def test_connection_without_a_request_times_out(edge: InProcessEdge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acceptor, "HEAD_SECONDS", 0.1)
    client = edge.connect()
    await eventually(client.closed, "the connection is closed", 5.0)


async def test_keepalive_timeout_spares_a_connection_that_awaits_the_disk(start_edge: Any) -> None:
    edge = start_edge(keep_alive=0.2)
    client = edge.connect()
    for number in range(6):
        client.send(impression(number))
        await edge.settle()
        assert client.read()
        await asyncio.sleep(0.05)
    client.send(impression(9))
    await asyncio.sleep(0.8)
    assert not client.closed(), "the connection awaits the disk"
    edge.commits.sync()
    assert client.read()
    await eventually(client.closed, "the connection is closed", 5.0)


async def test_failing_poll_does_not_stop_the_next(edge: InProcessEdge, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> None:
        raise MemoryError

    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    first = edge.connect(1)
    await edge.settle()
    assert first.read()
    with monkeypatch.context() as patched:
        patched.setattr(edge.acceptor, "_accept", fail)
        first.send(impression(2))
        second = edge.connect(3)
        await edge.poll()
    await edge.settle()
    assert RECORDED in first.read()
    assert RECORDED in second.read()


async def test_connection_that_cannot_be_watched_is_closed_after_its_response(
    edge: InProcessEdge, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> None:
        raise OSError(28, "No space left on device")

    client = edge.connect(1)
    with monkeypatch.context() as patched:
        patched.setattr(edge.acceptor, "watch", fail)
        await edge.settle()
    assert RECORDED in client.read()
    assert client.closed()


def test_request_batch_fits_one_journal_batch() -> None:
    assert acceptor._MAX_READS + 2 * acceptor.MAX_ACCEPTS <= BATCH_EVENTS


async def test_connections_wait_when_no_file_can_be_opened(
    edge: InProcessEdge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acceptor, "ACCEPT_RETRY_SECONDS", 0.05)
    client = edge.connect(1)
    with no_more_files():
        await edge.settle()
        await asyncio.sleep(0.2)
        assert client.read() == b""
    await asyncio.sleep(0.1)
    await edge.settle()
    assert RECORDED in client.read()


@pytest.mark.parametrize("begun", [b"", b"GET /imptr?id=531 HT", HEAD + b"Content-Length: 9\r\n\r\n"])
async def test_silent_connections_give_way_to_new_ones(start_edge: Any, begun: bytes) -> None:
    edge = start_edge(limits=ConnectionLimits(lambda: 80, 40))
    edge.commits.quick = True
    idle = edge.connect(0)
    await edge.settle()
    assert RECORDED in idle.read()
    silent = []
    for _ in range(60):
        silent.append(edge.connect())
        silent[-1].send(begun)
        if len(silent) % 10 == 0:
            await edge.settle()
    for number in range(20):
        assert len(edge.acceptor._connections) + len(edge.state.connections) <= 40 + 2 * acceptor.MAX_ACCEPTS
        client = edge.connect(number)
        await edge.settle()
        assert RECORDED in client.read()
    idle.send(impression(1))
    await edge.settle()
    assert RECORDED in idle.read(), "an idle connection that has sent a request outlives the silent ones"
    # The kernel keeps those that have sent nothing for a second or more.
    for client in silent[:10] if begun else []:
        client.read()
        assert client.closed()


async def test_connections_wait_in_the_kernel_while_none_can_give_way(
    start_edge: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acceptor, "ACCEPT_RETRY_SECONDS", 0.05)
    edge = start_edge(limits=ConnectionLimits(lambda: 40))
    clients = []
    for number in range(120):
        clients.append(edge.connect(number))
        if number % 10 == 0:
            await edge.poll()
    await edge.poll()
    assert len(edge.acceptor._connections) <= 40 + acceptor.MAX_ACCEPTS, "the others wait"
    for _ in range(40):
        await edge.settle()
        await asyncio.sleep(0.02)
    assert len(edge.commits.events) == 120
    assert all(RECORDED in client.read() for client in clients[-40:])
