"""Locks between processes: flock on a file, released by the kernel when the last holder ends, however it ends."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

_NEW_FILE_ATTEMPTS = 200
_NEW_FILE_PAUSE_SECONDS = 0.01
"""A process that scans for abandoned files holds the lock of a new one for microseconds: two seconds are plenty."""


def try_lock(fd: int, *, shared: bool = False) -> bool:
    """Lock an open file without waiting; return False when another process holds a lock that excludes this one.

    Every copy of the descriptor holds the lock, in child processes too. Raise `OSError` where files cannot be locked.
    """
    try:
        fcntl.flock(fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


class FileLock:
    """An exclusive lock on a separate file next to the one that it guards.

    Separate, because closing any descriptor of a SQLite file drops the locks that SQLite holds on that file.
    """

    def __init__(self, path: Path) -> None:
        """Lock `path`, creating it when missing. Raise `BlockingIOError` when another process holds it."""
        while True:
            file = path.open("a+b")
            try:
                if not try_lock(file.fileno()):
                    raise BlockingIOError(f"{path} is locked by another process")
                # Another process may have removed the file between open and flock: a lock on it would exclude nobody.
                if _is_at(file.fileno(), path):
                    self._file = file
                    return
            except OSError:
                file.close()
                raise
            file.close()

    @classmethod
    def of_new_file(cls, path: Path) -> FileLock:
        """Lock a file that this process has just named; another process may hold it briefly while it scans."""
        for _ in range(_NEW_FILE_ATTEMPTS):
            try:
                return cls(path)
            except BlockingIOError:
                time.sleep(_NEW_FILE_PAUSE_SECONDS)
        return cls(path)

    def release(self) -> None:
        """Release the lock, so that another process can take it."""
        self._file.close()


def _is_at(fd: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), path.stat())
    except FileNotFoundError:
        return False
