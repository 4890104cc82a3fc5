"""Lines for terminals and pipes: harmless whatever they quote, and never mixed with those of another process."""

from __future__ import annotations

import contextlib
import os
from typing import TextIO


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
    if stream is None:
        return
    rest = f"{line}\n".encode(errors="backslashreplace")
    with contextlib.suppress(OSError):
        while rest:
            rest = rest[os.write(stream.fileno(), rest) :]
