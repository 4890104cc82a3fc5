"""Handing connections over to uvicorn's protocol, and taking them back."""

from __future__ import annotations

import contextlib
import socket
import struct
from typing import Any

import pytest

from onebyone.edge.fastpath.connection import IDLE
from tests.edge.fastpath.in_process_edge import RECORDED, InProcessEdge, no_more_files
from tests.edge.requests import HEAD, impression
from tests.support.waiting import eventually

pytestmark = pytest.mark.anyio


async def test_split_request_is_handed_over_and_the_connection_taken_back(edge: InProcessEdge) -> None:
    client = edge.connect()
    head = impression(1)
    client.send(head[:100])
    await edge.poll()
    client.send(head[100:])
    await edge.settle()
    assert client.read().startswith(b"HTTP/1.1 200 ")
    assert len(edge.state.connections) == 1, "uvicorn has it"
    for number in (2, 3):
        client.send(impression(number))
        await edge.settle()
        assert client.read().startswith(b"HTTP/1.1 200 ")
        assert edge.state.connections == set(), "it was taken back"
    assert len(edge.commits.events) == 3


async def test_connection_that_ends_when_it_was_just_taken_back_is_not_read_again(edge: InProcessEdge) -> None:
    edge.commits.quick = True
    client, other = edge.connect(), edge.connect(1)
    client.send(b"HEAD /imptr?id=531 HTTP/1.1\r\nHost: t\r\n\r\n")
    await edge.settle()
    assert client.read()
    assert RECORDED in other.read()
    (protocol,) = edge.state.connections
    # From here on the loop does not run, so uvicorn's transport cannot close its descriptor of the socket.
    protocol.data_received(impression(2))
    assert RECORDED in client.read()
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.socket.close()
    edge.poll_while_the_loop_waits()
    other.send(impression(3))
    edge.poll_while_the_loop_waits()
    assert RECORDED in other.read()


async def test_pipelined_requests_are_handed_over_with_what_follows(edge: InProcessEdge) -> None:
    client = edge.connect()
    client.send(b"".join(map(impression, (1, 2))))
    client.send(impression(3))
    for _ in range(4):
        await edge.settle()
    assert client.read().count(RECORDED) == 3
    assert [b'"cb":"%d"' % number in line for number, line in enumerate(edge.commits.events, 1)] == [True] * 3


async def test_many_pipelined_requests_are_not_one_long_head(edge: InProcessEdge) -> None:
    client = edge.connect()
    client.send(b"".join(map(impression, range(90))) + impression(90)[:-2])
    for _ in range(95):
        await edge.poll()
        edge.commits.sync()
    client.send(impression(90)[-2:])
    await edge.settle()
    await edge.settle()
    assert client.read().count(RECORDED) == 91


async def test_slow_reader_gets_every_response(edge: InProcessEdge) -> None:
    client = edge.connect_narrow(0)
    await edge.settle()
    (connection,) = edge.acceptor._connections.values()
    sent = 1
    while connection.state is IDLE:
        client.send(impression(sent))
        await edge.settle()
        sent += 1
        assert sent < 1000
    assert len(edge.state.connections) == 1, "uvicorn has it"
    received = b""
    for _ in range(200):
        received += client.read()
        await edge.settle()
        if received.count(b"GIF89a") == sent:
            break
    received += client.read()
    assert [received.count(part) for part in (RECORDED, b"HTTP/1.1 200 OK", b"GIF89a")] == [sent] * 3


async def test_client_that_never_reads_is_disconnected(start_edge: Any) -> None:
    edge = start_edge(keep_alive=0.3)
    edge.commits.quick = True
    client = edge.connect_narrow()
    client.send(b"HEAD /imptr?id=531 HTTP/1.1\r\nHost: t\r\n\r\n")
    await edge.settle()
    (protocol,) = edge.state.connections
    while not protocol.flow.write_paused:
        # Until the protocol no longer reads.
        with contextlib.suppress(BlockingIOError):
            client.socket.send(b"HEAD /imptr?id=531 HTTP/1.1\r\nHost: t\r\n\r\n" * 10)
        await edge.poll()
    assert edge.state.connections == {protocol}
    await eventually(lambda: not edge.state.connections, "the client is disconnected", 2.0)


async def test_client_that_does_not_read_its_last_response_is_disconnected(start_edge: Any) -> None:
    edge = start_edge(keep_alive=0.3)
    edge.commits.quick = True
    client = edge.connect()
    client.send(b"HEAD /imptr?id=531 HTTP/1.1\r\nHost: t\r\n\r\n")
    await edge.settle()
    (protocol,) = edge.state.connections
    # Less than the limit at which the transport pauses writing.
    protocol.transport.write(bytes(8_000_000))
    protocol.transport.set_write_buffer_limits(high=64_000_000)
    protocol.resume_writing()
    assert protocol.transport.get_write_buffer_size() > 0
    client.send(b"HEAD /imptr?id=531 HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n")
    await eventually(lambda: not edge.state.connections, "the client is disconnected", 2.0)


async def test_shutdown_during_a_handover_closes_the_connection(edge: InProcessEdge) -> None:
    client = edge.connect()
    client.send(HEAD)
    edge.poll_until_handed_over()
    edge.shut_down()
    await edge.poll()
    assert client.closed()


async def test_shutdown_after_a_handover_closes_the_connection(edge: InProcessEdge) -> None:
    client = edge.connect()
    client.send(HEAD)
    await edge.poll()
    edge.shut_down()
    await edge.poll()
    assert client.closed()
    await edge.poll()
    assert edge.state.connections == set()


async def test_client_address_is_recorded_after_a_reset(edge: InProcessEdge) -> None:
    client = edge.connect()
    client.send(impression(1) + impression(2))
    edge.poll_until_handed_over()
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.socket.close()
    await edge.settle()
    assert edge.commits.events
    assert all(b'"ip":"127.0.0.0"' in line for line in edge.commits.events)


async def test_connection_is_not_taken_back_without_a_descriptor(edge: InProcessEdge) -> None:
    client = edge.connect()
    client.send(b"HEAD /imptr?id=531 HTTP/1.1\r\nHost: t\r\n\r\n")
    await edge.settle()
    assert client.read()
    with no_more_files():
        client.send(impression(1))
        await edge.settle()
    assert RECORDED in client.read()
    assert len(edge.state.connections) == 1
