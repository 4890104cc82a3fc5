"""Reads from many sockets, and writes to many, without any of our bytecode between two system calls.

The interpreter's own loops (`map`, `list.extend`) make the calls. 64 reads in a row disturb the processor's caches, and
so slow down what follows, less than 64 reads with Python code in between.
"""

from __future__ import annotations

import os

READ_BYTES = 65_536
"""What one read returns at most: far more than any request of a browser, and as much as uvicorn's transports read."""


def read_each(fds: list[int]) -> list[bytes]:
    """Return what each socket has to read, up to `READ_BYTES`; empty bytes mean that its client has disconnected.

    Sockets with nothing to read are removed from `fds`.
    """
    reads: list[bytes] = []
    while len(reads) < len(fds):
        rest = fds[len(reads) :]
        try:
            reads.extend(map(os.read, rest, [READ_BYTES] * len(rest)))
        except BlockingIOError:
            # `extend` has kept what it got before the exception.
            del fds[len(reads)]
        except OSError:
            reads.append(b"")
    return reads


def write_each(fds: list[int], responses: list[bytes]) -> list[int]:
    """Write a response to each socket; return how many bytes each has taken, -1 where the client has disconnected."""
    written: list[int] = []
    while len(written) < len(fds):
        try:
            written.extend(map(os.write, fds[len(written) :], responses[len(written) :]))
        except BlockingIOError:
            written.append(0)
        except OSError:
            written.append(-1)
    return written
