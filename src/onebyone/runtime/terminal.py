"""Lines for terminals and pipes: harmless whatever they quote, and never mixed with those of another process."""

from __future__ import annotations

import contextlib
import os
import select
from typing import TextIO

ROOM_SECONDS = 0.1
"""How long a line waits for a stalled terminal: no line is worth holding up a role for longer."""


def printable(text: str) -> str:
    """Return `text` as one line without control characters.

    Every character that is not printable (line feeds, escape codes, direction marks) becomes its escape, such as
    `\\x1b`, so that text from outside can neither forge a line nor command a terminal.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def write_line(stream: TextIO | None, line: str) -> None:
    """Write `line` and a line feed to `stream` (`sys.stdout`, `sys.stderr`) by one system call.

    Processes that share a terminal or pipe never break each other's lines that way (on a pipe up to PIPE_BUF, 4,096
    bytes on Linux); `print` may write text and line feed apart. Nothing happens when nobody reads the stream.
    """
    if stream is not None:
        with contextlib.suppress(OSError):
            write_bytes(stream.fileno(), f"{line}\n".encode(errors="backslashreplace"))


def write_bytes(fd: int, data: bytes) -> None:
    """Write all of `data`, by one system call where the descriptor takes it. Raise OSError when nobody reads it.

    Another process may have made a shared terminal non-blocking: wait a moment for room, then drop the rest.
    """
    while data:
        try:
            data = data[os.write(fd, data) :]
        except BlockingIOError:
            if not select.select([], [fd], [], ROOM_SECONDS)[1]:
                return
