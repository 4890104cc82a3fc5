"""Ownership of a producer's journal, by whichever process holds its lock.

The lock is a file of its own because closing any descriptor of a SQLite file drops the locks that SQLite holds on it.
"""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path


class Lock:
    """A lock file (flock) that this process holds."""

    def __init__(self, path: Path) -> None:
        """Raises BlockingIOError when another process holds it."""
        while True:
            file = path.open("a+b")
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # Between open and flock a sibling may have removed the file: a lock on that would lock nothing.
                if _is_at(file.fileno(), path):
                    self._file = file
                    return
            except OSError:
                file.close()
                raise
            file.close()

    @classmethod
    def of_new(cls, path: Path) -> Lock:
        """The lock of a new producer; a sibling that looks for abandoned journals may hold it for a moment."""
        for _ in range(200):
            try:
                return cls(path)
            except BlockingIOError:
                time.sleep(0.01)
        return cls(path)

    def release(self) -> None:
        """Lets another process take the journal."""
        self._file.close()


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
