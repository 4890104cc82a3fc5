"""Reading from many sockets and writing to many: each gets its own data, whatever happens to the others."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator

import pytest

from onebyone.edge.fastpath.socket_io import READ_BYTES, read_each, write_each

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pairs() -> Iterator[list[Pair]]:
    """Six connections: our end, which is non-blocking, and the client's."""
    made = [socket.socketpair() for _ in range(6)]
    for ours, _ in made:
        ours.setblocking(False)
    yield made
    for pair in made:
        for end in pair:
            end.close()


def fds_of(pairs: list[Pair]) -> list[int]:
    return [ours.fileno() for ours, _ in pairs]


def reset(pair: Pair) -> None:
    """Close the client's end with unread bytes, which resets the connection."""
    pair[0].send(b"unread")
    pair[1].close()


def test_sockets_without_data_are_removed(pairs: list[Pair]) -> None:
    fds = fds_of(pairs)
    for number in (0, 3, 5):
        pairs[number][1].send(b"request %d" % number)
    pairs[2][1].close()
    reset(pairs[4])
    readable = [fds[number] for number in (0, 2, 3, 4, 5)]
    assert read_each(fds) == [b"request 0", b"", b"request 3", b"", b"request 5"]
    assert fds == readable


@pytest.mark.parametrize("silent", [[0], [5], [0, 1], [4, 5], [0, 1, 2, 3, 4, 5]], ids=str)
def test_sockets_without_data_may_be_anywhere(pairs: list[Pair], silent: list[int]) -> None:
    fds = fds_of(pairs)
    asking = [number for number in range(6) if number not in silent]
    for number in asking:
        pairs[number][1].send(b"%d" % number)
    assert read_each(fds) == [b"%d" % number for number in asking]
    assert fds == [pairs[number][0].fileno() for number in asking]


def test_one_read_is_bounded(pairs: list[Pair]) -> None:
    pairs[0][0].setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * READ_BYTES)
    pairs[0][1].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * READ_BYTES)
    assert pairs[0][1].send(b"x" * (READ_BYTES + 10)) == READ_BYTES + 10
    number = pairs[0][0].fileno()
    assert [len(read_each([number])[0]), len(read_each([number])[0])] == [READ_BYTES, 10]


def test_full_and_closed_sockets_do_not_affect_the_others(pairs: list[Pair]) -> None:
    pairs[1][1].close()
    with contextlib.suppress(BlockingIOError):
        while pairs[3][0].send(b"x" * 65_536):
            pass
    pairs[5][1].close()
    responses = [b"answer %d" % number for number in range(6)]
    assert write_each(fds_of(pairs), responses) == [8, -1, 8, 0, 8, -1]
    for number in (0, 2, 4):
        assert pairs[number][1].recv(100) == responses[number]


def test_partial_write_is_reported(pairs: list[Pair]) -> None:
    text = b"x" * 10_000_000
    (taken,) = write_each([pairs[0][0].fileno()], [text])
    assert 0 < taken < len(text)


def test_no_sockets() -> None:
    assert (read_each([]), write_each([], [])) == ([], [])


def test_closed_descriptor_counts_as_a_client_that_has_gone() -> None:
    closed = os.dup(0)
    os.close(closed)
    assert (read_each([closed]), write_each([closed], [b"x"])) == ([b""], [-1])
