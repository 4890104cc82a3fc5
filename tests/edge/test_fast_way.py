"""The fast way: what it takes and what it declines, and what it does to the connection around an answer."""

from __future__ import annotations

import asyncio
import copy
import sys
from types import CodeType
from typing import Any, Literal, cast

import pytest
import uvicorn
from uvicorn.server import ServerState

from onebyone.edge.app import Edge
from onebyone.edge.commits import Commits, Waiter
from onebyone.edge.fast_way import FastWays
from onebyone.edge.lookup import Lookups, Tracker
from onebyone.settings import Settings
from tests.edge.edge_process import tracker
from tests.edge.requests import HEAD, impression

pytestmark = pytest.mark.anyio


class Transport:
    """What a protocol needs of a transport; what is written to one that closes is lost, and after `connection_lost`
    it is an error, as it is in uvloop."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.closed = False
        self.lost = False
        self.aborted = False
        self.reading = True

    def write(self, data: bytes) -> None:
        assert not self.lost
        if not self.closed:
            self.written.append(data)

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def get_extra_info(self, name: str) -> Any:
        return ("127.0.0.1", 40000) if name == "peername" else None

    def abort(self) -> None:
        self.closed = True
        self.aborted = True

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


class Disk:
    """A `Commits` whose sync is the test's."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.waiters: list[Waiter | None] = []
        self.full = False

    def add(self, lines: list[bytes], waiter: Waiter | None, gathered: bool = False) -> bool:
        if self.full:
            return False
        self.lines += lines
        self.waiters.append(waiter)
        return True

    def sync(self, recorded: bool = True) -> None:
        waiters, self.waiters = self.waiters, []
        for waiter in waiters:
            if waiter is not None:
                waiter.settled(recorded)


class Connection:
    """One connection in this process."""

    def __init__(self, keep_alive: float = 75, receipt: Literal["disk", "memory"] = "disk") -> None:
        self.disk = Disk()
        self.lookups = Lookups(cast(Any, None), 10, None)
        self.lookups.impressions.hold(531, Tracker.decode(tracker("imp", 531).encode()))
        self.edge = Edge(Settings(receipt=receipt), self.lookups, cast(Commits, self.disk), cast(Any, None))
        self.config = uvicorn.Config(self.edge, lifespan="off", ws="none", proxy_headers=False, log_config=None)
        self.config.timeout_keep_alive = cast(int, keep_alive)
        self.state = ServerState()
        self.state.default_headers = [(b"date", b"today")]
        self.transport = Transport()
        self.ways = FastWays(self.edge, asyncio.get_running_loop())
        self.protocol = self.ways(config=self.config, server_state=self.state, app_state={})
        self.protocol.connection_made(cast(asyncio.Transport, self.transport))

    def lose(self) -> None:
        """The client has gone."""
        self.transport.closed = True
        self.protocol.connection_lost(None)
        self.transport.lost = True

    def another(self) -> Connection:
        """Another connection of the same edge."""
        made = copy.copy(self)
        made.transport = Transport()
        made.protocol = self.ways(config=self.config, server_state=self.state, app_state={})
        made.protocol.connection_made(cast(asyncio.Transport, made.transport))
        return made

    async def receive(self, data: bytes) -> None:
        """A read, and the turn that takes it."""
        self.protocol.data_received(data)
        await self.turn()

    async def turn(self) -> None:
        """Until what has come is decided."""
        for _ in range(4):
            await asyncio.sleep(0)


class Neighbours:
    """Connections that ask at the same time."""

    def __init__(self, many: int) -> None:
        first = Connection()
        self.connections = [first, *(first.another() for _ in range(many - 1))]

    async def turn(self, data: bytes) -> None:
        """Each asks, and has its answer."""
        for connection in self.connections:
            connection.protocol.data_received(data)
        await self.connections[0].turn()
        self.connections[0].disk.sync()


async def test_an_answer_waits_for_the_disk_and_is_one_write() -> None:
    connection = Connection()
    await connection.receive(impression(1))
    assert connection.transport.written == []
    connection.disk.sync()
    (answer,) = connection.transport.written
    assert answer.startswith(b"HTTP/1.1 200 OK\r\ndate: today\r\ncache-control: ")
    assert b"\r\nx-onebyone: recorded\r\n\r\nGIF89a" in answer


async def test_a_receipt_from_memory_does_not_wait() -> None:
    connection = Connection(receipt="memory")
    await connection.receive(impression(1))
    assert b"\r\nx-onebyone: recorded\r\n\r\nGIF89a" in connection.transport.written[0]
    connection.disk.sync()
    assert (len(connection.transport.written), len(connection.disk.lines)) == (1, 1)


@pytest.mark.parametrize("receipt", ["disk", "memory"])
async def test_too_many_waiting_events_are_said(receipt: Literal["disk", "memory"]) -> None:
    connection = Connection(receipt=receipt)
    connection.disk.full = True
    await connection.receive(impression(1))
    (answer,) = connection.transport.written
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"\r\nx-onebyone: ignored; reason=overload\r\n\r\nGIF89a" in answer


async def test_a_refusal_by_the_disk_is_said() -> None:
    connection = Connection()
    await connection.receive(impression(1))
    connection.disk.sync(recorded=False)
    (answer,) = connection.transport.written
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"\r\nx-onebyone: ignored; reason=journal\r\n\r\nGIF89a" in answer


async def test_a_client_that_does_not_wait_is_held_and_answered_in_order() -> None:
    connection = Connection()
    await connection.receive(impression(1))
    await connection.receive(impression(2))
    assert not connection.transport.reading
    connection.disk.sync()
    await connection.turn()
    assert (len(connection.transport.written), len(connection.disk.lines)) == (1, 2)
    assert connection.transport.reading
    connection.disk.sync()
    assert len(connection.transport.written) == 2


@pytest.mark.parametrize("how", ["client", "server"])
async def test_a_closed_connection_is_not_written_to(how: str) -> None:
    connection = Connection()
    await connection.receive(impression(1))
    await connection.receive(impression(2))
    if how == "client":
        connection.lose()
    else:
        connection.transport.close()
    connection.disk.sync()
    await asyncio.sleep(0)
    assert connection.transport.written == []
    assert len(connection.disk.lines) == 1


async def test_a_client_that_asks_for_it_is_closed_behind_its_answer() -> None:
    connection = Connection()
    await connection.receive(HEAD + b"Connection: close\r\n\r\n")
    assert not connection.transport.closed
    connection.disk.sync()
    assert b"\r\nconnection: close\r\n\r\nGIF89a" in connection.transport.written[0]
    assert connection.transport.closed


async def test_shutdown_waits_for_the_disk_and_closes_behind_the_answer() -> None:
    connection = Connection()
    await connection.receive(impression(1))
    connection.protocol.shutdown()
    assert connection.protocol in connection.state.connections
    assert not connection.transport.closed
    connection.disk.sync()
    assert b"\r\nconnection: close\r\n\r\nGIF89a" in connection.transport.written[0]
    assert connection.transport.closed


async def test_shutdown_closes_a_connection_whose_read_turns_out_to_be_half_a_head() -> None:
    connection = Connection()
    connection.protocol.data_received(HEAD)
    connection.protocol.shutdown()
    await connection.turn()
    assert connection.transport.closed


async def test_what_was_held_goes_to_the_parser_in_one_read() -> None:
    connection = Connection()
    both = b"".join(map(impression, (1, 2)))
    connection.protocol.data_received(both)
    connection.protocol.data_received(impression(3))
    assert not connection.transport.reading
    await connection.turn()
    assert not connection.transport.reading, "the parser has requests that wait"
    for _ in range(3):
        await asyncio.sleep(0.01)
        connection.disk.sync()
    await asyncio.sleep(0.01)
    assert b"".join(connection.transport.written).count(b"x-onebyone: recorded") == 3
    assert connection.transport.reading


@pytest.mark.parametrize("parser", [False, True])
async def test_a_client_that_does_not_read_its_answers_is_cut_off(parser: bool) -> None:
    connection = Connection()
    if parser:
        await connection.receive(HEAD)
    connection.protocol.pause_writing()
    now = asyncio.get_running_loop().time()
    connection.protocol.close_if_idle(now + 70)
    assert not connection.transport.closed
    connection.protocol.close_if_idle(now + 80)
    assert connection.transport.aborted


async def test_a_client_that_reads_again_is_silent_again() -> None:
    connection = Connection()
    connection.protocol.pause_writing()
    connection.protocol.resume_writing()
    await connection.receive(impression(1))
    connection.disk.sync()
    assert len(connection.transport.written) == 1


async def test_a_parser_knows_that_the_client_does_not_read() -> None:
    connection = Connection()
    connection.protocol.pause_writing()
    await connection.receive(impression(1))
    for _ in range(3):
        connection.disk.sync()
        await asyncio.sleep(0.01)
    assert connection.transport.written == []
    connection.protocol.resume_writing()
    await asyncio.sleep(0.01)
    assert b"x-onebyone: recorded" in b"".join(connection.transport.written)


async def test_shutdown_of_a_client_that_does_not_read_closes() -> None:
    connection = Connection()
    connection.protocol.pause_writing()
    connection.protocol.shutdown()
    assert connection.transport.closed


async def test_shutdown_of_an_idle_connection_closes_it() -> None:
    connection = Connection()
    connection.protocol.shutdown()
    assert connection.transport.closed


async def test_an_idle_connection_is_closed_and_a_busy_one_is_not() -> None:
    connection = Connection(keep_alive=0.2)
    for number in range(6):
        await connection.receive(impression(number))
        connection.disk.sync()
        await asyncio.sleep(0.05)
    await connection.receive(impression(9))
    await asyncio.sleep(0.3)
    assert not connection.transport.closed, "the disk is slow, the client is not idle"
    connection.disk.sync()
    for _ in range(100):
        await asyncio.sleep(0.05)
        if connection.transport.closed:
            return
    raise AssertionError("an idle connection stays open")


async def test_a_read_that_is_declined_goes_to_the_parser_and_the_connection_comes_back() -> None:
    connection = Connection()
    head = impression(1)
    await connection.receive(head[:100])
    await connection.receive(head[100:])
    await asyncio.sleep(0.01)
    connection.disk.sync()
    await asyncio.sleep(0.01)
    assert b"".join(connection.transport.written).startswith(b"HTTP/1.1 200 ")
    assert len(connection.state.connections) == 2
    await connection.receive(impression(2))
    assert connection.state.connections == {connection.protocol}
    connection.disk.sync()
    assert connection.transport.written[-1].startswith(b"HTTP/1.1 200 ")
    assert len(connection.disk.lines) == 2


async def test_shutdown_of_a_connection_that_the_parser_has_is_the_parsers() -> None:
    connection = Connection()
    await connection.receive(HEAD)
    for protocol in list(connection.state.connections):
        protocol.shutdown()
    assert connection.transport.closed
    connection.protocol.connection_lost(None)
    assert connection.state.connections == set()


MANY = 64
INSTRUCTIONS, CALLS = 300, 3.9
"""What a warm impression may take from its read to its write, as one of `MANY` of a turn. It takes 284 bytecode
instructions and 3.6 calls of Python functions on CPython 3.11."""


async def test_a_warm_impression_stays_within_its_budget() -> None:
    """A guard without a clock: bytecode instructions of one warm request, by the interpreter's own trace."""
    edge = Neighbours(MANY)
    for number in range(3):
        await edge.turn(impression(number))
    steps = 0
    calls: dict[CodeType, int] = {}

    def trace(frame: Any, event: str, _: Any) -> Any:
        nonlocal steps
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        if event == "opcode":
            steps += 1
        elif event == "call":
            calls[frame.f_code] = calls.get(frame.f_code, 0) + 1
        return trace

    found = []
    for number in (97, 98, 99):
        steps, before = 0, sys.gettrace()
        calls.clear()
        sys.settrace(trace)
        try:
            await edge.turn(impression(number))
        finally:
            sys.settrace(before)
        found.append((steps / MANY, sum(calls.values()) / MANY))
    # The garbage collector may have called what others left behind.
    least, called = min(found)
    assert all(connection.transport.written[-1].endswith(b"\x3b") for connection in edge.connections)
    print(f"{least} bytecode instructions, {called} calls")
    assert least <= INSTRUCTIONS
    assert called <= CALLS
