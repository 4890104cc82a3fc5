"""Many sockets read, and many written: one system call each, and no bytecode of ours between two of them.

The interpreter's own loops (`map`, `list.extend`) make the calls: 64 reads one behind the other cost the processor's
caches, and so what comes behind them, less than 64 reads with a program between.
"""

from __future__ import annotations

import os

READ_BYTES = 65_536


def read_each(fds: list[int]) -> list[bytes]:
    """What each of these sockets has, `READ_BYTES` at most; empty: its client has gone.

    The socket that has nothing after all is taken out of `fds`.
    """
    found: list[bytes] = []
    while len(found) < len(fds):
        left = fds[len(found) :]
        try:
            found.extend(map(os.read, left, [READ_BYTES] * len(left)))
        except BlockingIOError:
            # Extending has kept what came before.
            del fds[len(found)]
        except OSError:
            found.append(b"")
    return found


def write_each(fds: list[int], texts: list[bytes]) -> list[int]:
    """Writes its text to each of these sockets: how many bytes it took; -1: its client has gone."""
    taken: list[int] = []
    while len(taken) < len(fds):
        try:
            taken.extend(map(os.write, fds[len(taken) :], texts[len(taken) :]))
        except BlockingIOError:
            taken.append(0)
        except OSError:
            taken.append(-1)
    return taken
