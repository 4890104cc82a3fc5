"""Floods of one client against real processes: requests sent ahead, and connections that never complete a request."""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.edge.edge_process import EdgeProcess, Publisher, shipped, tracker
from tests.support.api_harness import PASSWORD
from tests.support.tiers import starts_processes
from tests.support.valkey import ValkeyProcess, start_valkey
from tests.support.waiting import wait_until

OPEN_FILES = 1024
"""The limit that systems set without being asked."""
MEGABYTE = 1_000_000
PIPELINED = {
    "an unknown path": b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n",
    "a tag": b"GET /imptr?id=1 HTTP/1.1\r\nHost: a\r\n\r\n",
    "bodies": b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
}
UNFINISHED = [
    b"",
    b"GE",
    b"GET /imptr?id=1 HTTP/1.1\r\nHo",
    b"POST /imptr?id=1 HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nx",
    b"GET /imptr?id=1 HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n",
    b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n",
]


class ApiProcess(EdgeProcess):
    """`python -m onebyone.api`."""

    program = "onebyone.api"


class World(NamedTuple):
    """The servers by role, and the Valkey that they share."""

    valkey: ValkeyProcess
    servers: dict[str, EdgeProcess]


@pytest.fixture(scope="module")
@starts_processes
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The edge on both of its paths, which knows tracker 1, and the API."""
    folder = tmp_path_factory.mktemp("floods")
    (folder / "api").mkdir()
    valkey = start_valkey(folder / "valkey")
    Publisher(valkey).publish(tracker("imp", 1))
    servers: dict[str, EdgeProcess] = {
        "edge": EdgeProcess(folder / "edge", valkey.url),
        "edge on ASGI": EdgeProcess(folder / "asgi", valkey.url, edge_http="asgi"),
        "api": ApiProcess(folder / "api", f"{valkey.url}?db=1", admin_password=PASSWORD),
    }
    with contextlib.ExitStack() as stack:
        stack.callback(valkey.remove)
        for server in servers.values():
            stack.callback(server.listener.close)
            stack.callback(server.stop)
            server.open_files = OPEN_FILES
            server.start()
        yield World(valkey, servers)


def pid_of(server: EdgeProcess) -> int:
    assert server.process is not None
    return server.process.pid


def resident(pid: int) -> int:
    """Return the bytes of the process that are in memory."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()


def cpu_seconds(pid: int) -> float:
    """Return the time that the process has computed for."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def descriptors(pid: int) -> int:
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def cachebusters(valkey: ValkeyProcess) -> set[str]:
    return {event.get("cb", "") for event in shipped(valkey.client())}


def alive(server: EdgeProcess) -> bool:
    return server.get("/livez").status_code == 200


@pytest.mark.parametrize("requests", PIPELINED)
@pytest.mark.parametrize("role", ["edge", "edge on ASGI", "api"])
def test_requests_sent_ahead(world: World, role: str, requests: str) -> None:
    server = world.servers[role]
    pid = pid_of(server)
    assert alive(server)
    costs: list[float] = []
    before = most = resident(pid)
    data = memoryview(PIPELINED[requests] * (10 * MEGABYTE // len(PIPELINED[requests])))
    with socket.create_connection(server.listener.getsockname()) as client:
        client.setblocking(False)
        until = time.monotonic() + 1.5
        while data and time.monotonic() < until:
            with contextlib.suppress(BlockingIOError):
                data = data[client.send(data) :]
            with contextlib.suppress(BlockingIOError):
                client.recv(MEGABYTE)
            if len(costs) < 10:
                began = cpu_seconds(pid)
                assert alive(server)
                costs.append(cpu_seconds(pid) - began)
            most = max(most, resident(pid))
    assert most - before < 10 * MEGABYTE
    assert sorted(costs)[len(costs) // 2] < 0.1


@pytest.mark.parametrize("role", ["edge", "edge on ASGI", "api"])
def test_more_unfinished_requests_than_descriptors(world: World, role: str) -> None:
    server = world.servers[role]
    pid = pid_of(server)
    held = []
    try:
        for number in range(1100):
            held.append(socket.create_connection(server.listener.getsockname()))
            held[-1].sendall(UNFINISHED[number % len(UNFINISHED)])
            if number % 100 == 99:
                assert alive(server)
        wait_until(lambda: descriptors(pid) < OPEN_FILES - 64, "descriptors are kept in reserve")
        for _ in range(5):
            assert alive(server)
            assert server.get("/readyz").status_code == 200
        if role != "api":
            cachebuster = f"after{role[-4:]}"
            answer = server.get(f"/imptr?id=1&cachebuster={cachebuster}")
            assert answer.headers["x-onebyone"] == "recorded"
            wait_until(lambda: cachebuster in cachebusters(world.valkey), "the event is shipped")
    finally:
        for each in held:
            each.close()
