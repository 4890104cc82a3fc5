"""The sender at a constant rate, with servers that pause, answer errors or close connections."""

from __future__ import annotations

import itertools
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from loadtests.bench.percentiles import percentile
from loadtests.bench.sender import Sender, figures

REQUEST = b"GET / HTTP/1.1\r\nHost: here\r\n\r\n"
GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nX-OneByOne: recorded\r\n\r\ngood"
BAD = b"HTTP/1.1 503 No\r\nContent-Length: 0\r\nX-OneByOne: ignored\r\n\r\n"
PAUSE_SECONDS = 0.3

Answer = Callable[[int, socket.socket], None]


@pytest.mark.parametrize(
    ("share", "value"), [(0.0, 1), (0.01, 1), (0.011, 2), (0.5, 50), (0.99, 99), (0.999, 100), (1.0, 100)]
)
def test_percentile(share: float, value: int) -> None:
    assert percentile(range(1, 101), share) == value
    assert percentile([7], share) == 7


@contextmanager
def serving(answer: Answer) -> Iterator[tuple[str, int]]:
    """Serve one request at a time with `answer`, which receives its number, counted from 1 over all connections."""
    turns, turn = itertools.count(1), threading.Lock()

    class Connection(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            while self.request.recv(65_536):
                with turn:
                    answer(next(turns), self.request)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Connection) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server.server_address[:2]  # type: ignore[misc]
        finally:
            server.shutdown()
            thread.join()


def sent(
    answer: Answer, count: int, rate: float | None, connections: int = 4, mark: bytes = b"recorded"
) -> dict[str, float]:
    with serving(answer) as address:
        sender = Sender(address, [REQUEST], connections, mark)
        try:
            sender.run(count, rate)
            return figures(sender)
        finally:
            sender.close()


def test_pause_delays_every_request_that_is_due_in_it() -> None:
    def pause_once(number: int, connection: socket.socket) -> None:
        if number == 100:
            time.sleep(PAUSE_SECONDS)
        connection.sendall(GOOD)

    found = sent(pause_once, 1000, rate=1000.0)
    assert (found["answered"], found["errors"]) == (1000, 0)
    # Only four requests were in flight, but about 300 were due meanwhile.
    assert found["max_ms"] >= PAUSE_SECONDS * 1000
    assert found["p90_ms"] >= PAUSE_SECONDS * 1000 / 4


def test_without_a_rate_each_answer_is_followed_by_a_request() -> None:
    found = sent(lambda _, connection: connection.sendall(GOOD), 500, rate=None)
    assert (found["answered"], found["errors"]) == (500, 0)
    assert found["p50_ms"] <= found["p99_ms"] <= found["p999_ms"] <= found["max_ms"]


def test_answer_in_pieces_is_one_answer() -> None:
    def pieces(number: int, connection: socket.socket) -> None:
        connection.sendall(GOOD[: number % len(GOOD)])
        time.sleep(0.002)
        connection.sendall(GOOD[number % len(GOOD) :])

    found = sent(pieces, 60, rate=None)
    assert (found["answered"], found["errors"]) == (60, 0)


@pytest.mark.parametrize(
    ("bad", "answered"),
    [
        pytest.param(lambda connection: connection.sendall(BAD), 100, id="another status"),
        pytest.param(lambda connection: connection.sendall(GOOD.replace(b"recorded", b"ignored")), 100, id="no mark"),
        pytest.param(lambda connection: connection.shutdown(socket.SHUT_RDWR), 90, id="a connection that is closed"),
    ],
)
def test_bad_answers_are_errors(bad: Callable[[socket.socket], None], answered: int) -> None:
    found = sent(
        lambda number, connection: connection.sendall(GOOD) if number % 10 else bad(connection), 100, rate=None
    )
    assert (found["answered"], found["errors"]) == (answered, 10)
