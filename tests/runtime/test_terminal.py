"""Text made printable, and lines written by one system call."""

from __future__ import annotations

import os
import threading

import pytest

from onebyone.runtime.terminal import printable, write_line


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text, ümlauts and 日本", "plain text, ümlauts and 日本"),
        ("two\nlines", "two\\nlines"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("C1 \x9b and DEL \x7f", "C1 \\x9b and DEL \\x7f"),
        ("reversed \u202e text", "reversed \\u202e text"),
        ("line separator \u2028", "line separator \\u2028"),
        ("half a pair \udc80", "half a pair \\udc80"),
    ],
)
def test_printable(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert printable(shown) == shown


def test_a_line_is_written_whole() -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading) as reader:
        with os.fdopen(writing, "w") as stream:
            write_line(stream, "half a pair \udc80")
        assert reader.read() == "half a pair \\udc80\n"


def test_a_line_that_nobody_reads_is_dropped() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as stream:
        write_line(stream, "unread")
    write_line(None, "standard output was closed before the start")


def test_a_line_waits_for_room_on_a_non_blocking_descriptor() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    size = 200_000
    received = bytearray()

    def read() -> None:
        while chunk := os.read(reading, 4096):
            received.extend(chunk)

    reader = threading.Thread(target=read)
    reader.start()
    with os.fdopen(writing, "w") as stream:
        write_line(stream, "x" * size)
    reader.join()
    os.close(reading)
    assert len(received) == size + 1


def test_a_line_is_dropped_when_a_non_blocking_descriptor_stalls() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with os.fdopen(writing, "w") as stream:
        for _ in range(3):
            write_line(stream, "x" * 100_000)
    os.close(reading)
