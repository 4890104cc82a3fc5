"""Too many connections: whose are closed, which ones, and that everybody else still gets a place."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from structlog.testing import capture_logs

from onebyone.runtime import connection_limits
from onebyone.runtime.connection_limits import ConnectionLimits
from onebyone.runtime.descriptors import RESERVE, count_for_clients
from onebyone.settings import Settings


class Connection:
    """A connection that waits for its client until `deadline`; None: the client waits."""

    def __init__(self, peer: str, deadline: float | None) -> None:
        self.peer = peer
        self.deadline = deadline
        self.closed = False

    def client_deadline(self) -> float | None:
        return self.deadline

    def give_way(self) -> None:
        self.closed = True


def made(peer: str, *deadlines: float | None) -> list[Connection]:
    return [Connection(peer, deadline) for deadline in deadlines]


def check(connections: list[Connection], per_process: int = 1000, per_peer: int = 1000) -> tuple[int, ConnectionLimits]:
    """Make room among the connections; return how many were closed."""
    closed: list[int] = []
    limits = ConnectionLimits(lambda: per_process, per_peer, lambda peer: peer.startswith("10."), closed.append)
    limits.watch(lambda: connections)
    limits.make_room()
    assert sum(closed) == sum(connection.closed for connection in connections)
    return sum(closed), limits


def closed_deadlines(connections: list[Connection]) -> list[float | None]:
    return [connection.deadline for connection in connections if connection.closed]


@pytest.mark.parametrize(
    ("peers", "closed"),
    [
        (["192.0.2.1"] * 8, 3),
        (["192.0.2.1"] * 5 + ["192.0.2.2"] * 5, 0),
        (["192.0.2.1"] * 6 + ["192.0.2.2"] * 7, 3),
        (["::ffff:192.0.2.1"] * 4 + ["192.0.2.1"] * 4, 3),
        ([f"2001:db8::{number}" for number in range(8)], 3),
        ([f"2001:db8:0:{number}::1" for number in range(8)], 0),
        (["fe80::1%eth0"] * 8, 3),
        (["10.0.0.1"] * 8, 0),
        ([""] * 8, 0),
    ],
    ids=[
        *("one peer", "two peers within the limit", "two peers beyond it", "mapped into IPv6", "one host of IPv6"),
        *("hosts of IPv6", "with a zone", "a trusted proxy", "a Unix socket"),
    ],
)
def test_a_peer_has_no_more_than_its_share(peers: list[str], closed: int) -> None:
    connections = [Connection(peer, float(number)) for number, peer in enumerate(peers)]
    assert check(connections, per_peer=5)[0] == closed
    assert check([connection for connection in connections if not connection.closed], per_peer=5)[0] == 0


def test_the_connections_whose_deadline_is_nearest_are_closed() -> None:
    mine = made("192.0.2.1", 75.0, 20.0, None, 3.0, 75.5, None)
    others = made("192.0.2.2", 1.0, 2.0)
    check(mine + others, per_peer=4)
    assert (closed_deadlines(mine), closed_deadlines(others)) == ([20.0, 3.0], [])


def test_a_connection_whose_client_waits_is_never_closed() -> None:
    connections = made("192.0.2.1", *[None] * 20)
    for per_process, per_peer in ((1000, 5), (10, 1000)):
        closed, limits = check(connections, per_process, per_peer)
        assert closed == 0
        assert limits.is_full == (per_process == 10)
        assert not limits.is_full or limits.check_at <= len(connections), "the next connection is looked at again"


def test_a_full_process_makes_room_whoever_the_peers_are() -> None:
    connections = [Connection(f"192.0.{number}.1", float(number)) for number in range(160)]
    connections[0].deadline = None
    closed, limits = check(connections, per_process=160)
    assert closed_deadlines(connections) == [float(number) for number in range(1, 11)]
    assert (closed, limits.is_full, limits.check_at) == (10, False, 160)


def test_one_peer_never_has_more_than_half_of_a_process() -> None:
    assert check(made("192.0.2.1", *map(float, range(80))), per_process=100, per_peer=1000)[0] == 30


def test_a_count_is_due_when_a_peer_may_have_too_many_and_rarely_after_that() -> None:
    connections: list[Connection] = []
    limits = ConnectionLimits(lambda: 10_000, 100)
    limits.watch(lambda: connections)
    checks = []
    for number in range(10_000):
        connections.append(Connection(f"192.{number // 65_536}.{number // 256 % 256}.{number % 256}", 1.0))
        if len(connections) >= limits.check_at:
            limits.make_room()
            checks.append(len(connections))
    assert checks[0] == 101
    assert len(checks) < 100


async def growing(limits: ConnectionLimits, connections: list[Connection], number: int) -> None:
    for _ in range(number):
        connections.append(Connection("192.0.2.1", float(len(connections))))
        if len(connections) >= limits.check_at:
            limits.check_soon()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            connections[:] = [connection for connection in connections if not connection.closed]


@pytest.mark.anyio
async def test_a_peer_is_held_to_its_limit_after_the_others_have_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_limits, "RECHECK_SECONDS", 0.02)
    connections = [Connection(f"192.0.{number // 256}.{number % 256}", 0.0) for number in range(2000)]
    limits = ConnectionLimits(lambda: 10_000, 100)
    limits.watch(lambda: connections)
    limits.start()
    await asyncio.sleep(0.01)
    assert limits.check_at > 2000
    del connections[:]
    await asyncio.sleep(0.05)
    await growing(limits, connections, 500)
    assert len(connections) <= 100 + 100 // 16 + 16


@pytest.mark.anyio
async def test_room_is_made_when_the_process_may_have_fewer_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_limits, "RECHECK_SECONDS", 0.02)
    connections = [Connection(f"192.0.{number // 256}.{number % 256}", 0.0) for number in range(2000)]
    allowed = [10_000]
    limits = ConnectionLimits(lambda: allowed[0])
    limits.watch(lambda: [connection for connection in connections if not connection.closed])
    limits.start()
    allowed[0] = 1000
    await asyncio.sleep(0.05)
    assert sum(not connection.closed for connection in connections) == 1000 - 1000 // 16


@pytest.mark.anyio
async def test_one_line_tells_of_many_closed_connections() -> None:
    connections: list[Connection] = []
    limits = ConnectionLimits(lambda: 10_000, 10)
    limits.watch(lambda: connections)
    with capture_logs() as lines:
        await growing(limits, connections, 500)
    assert [line["event"] for line in lines] == ["connections closed to make room"]


def test_a_connection_in_two_sources_counts_once() -> None:
    connections = made("192.0.2.1", 1.0, 2.0, 3.0)
    limits = ConnectionLimits(lambda: 100, 3)
    limits.watch(lambda: connections)
    limits.watch(lambda: {*connections})
    limits.make_room()
    assert closed_deadlines(connections) == []


@pytest.mark.parametrize(
    ("soft", "most"), [(1024, 1024 - RESERVE), (100, 50), (65_536, 10_000)], ids=["usual", "few", "many"]
)
def test_descriptors_bound_the_connections(soft: int, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    raised: list[Any] = []
    monkeypatch.setattr("resource.getrlimit", lambda _: (soft, soft))
    monkeypatch.setattr("resource.setrlimit", lambda *each: raised.append(each))
    limits = ConnectionLimits.of(Settings(connections_per_peer=100_000), lambda _: None)
    connections = [Connection(f"192.0.{number // 256}.{number % 256}", 0.0) for number in range(12_000)]
    limits.watch(lambda: connections)
    limits.make_room()
    left = 12_000 - sum(connection.closed for connection in connections)
    assert left == most - max(1, most // 16)
    assert count_for_clients() >= most
    assert raised == []


@pytest.mark.parametrize(("hard", "raised"), [(4096, 4096), (-1, 65_536), (1_000_000, 65_536), (1024, None)])
def test_the_soft_limit_of_descriptors_is_raised(
    hard: int, raised: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[Any] = []
    monkeypatch.setattr("resource.getrlimit", lambda _: (1024, hard))
    monkeypatch.setattr("resource.setrlimit", lambda _, pair: found.append(pair))
    ConnectionLimits.of(Settings(), lambda _: None)
    assert found == ([] if raised is None else [(raised, hard)])
