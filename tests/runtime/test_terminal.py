"""Text made printable, and lines written by one system call."""

from __future__ import annotations

import os

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
