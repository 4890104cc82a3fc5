"""Whether the disk of the journals takes data, tested also without traffic.

A balancer sends no requests to an edge that cannot record, so an edge that waited for one would never be ready again. A
thread, because a disk that hangs must not hold up the loop, writes and syncs a file without a name in the folder of the
journals. It skips the test while events prove as much.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

from onebyone.runtime.outage import Outage

PROBE_SECONDS = 2.0
"""How often a healthy disk is tested: an edge without traffic notices a full one within this, for two small writes."""
RETRY_SECONDS = 0.5
"""How often a disk is tested that failed the last test: traffic returns that much later."""
HUNG_SECONDS = 5.0
"""A sync that takes longer means that the disk hangs: a solid one takes milliseconds, and one on the network fails over
within seconds."""
ROOM_BYTES = 256 * 1024
"""Free space that the disk must have: more than a full batch needs with the pages around it."""
_BLOCK = bytes(4096)
_UNSUPPORTED = (errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)
"""What a file system answers that cannot reserve space; not every C library then writes the blocks itself."""


class DiskProbe:
    """Test the folder of the journals until `stop`. The results may be read on any thread."""

    def __init__(self, directory: Path, is_proven: Callable[[], bool]) -> None:
        """Skip tests while `is_proven()`: the disk has just taken an event."""
        self._directory = directory
        self._is_proven = is_proven
        self._is_gone: Callable[[], bool] = lambda: False
        self._file: IO[bytes] | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="disk probe", daemon=True)
        self._began: float | None = None
        self._outage = Outage(
            "the disk of the journals takes no data", "the disk of the journals takes data again", level="error"
        )
        self.error = ""
        """Why the last test failed, in words; empty if it passed."""
        self.passed_at = float("-inf")
        """When the last passed test began, on the monotonic clock."""
        self.gone = False
        """Whether the files of the own journal were deleted or moved away. Final."""

    def watch(self, is_gone: Callable[[], bool]) -> None:
        """Set `gone` once `is_gone()`: whether the files of the own journal are where they were created."""
        self._is_gone = is_gone

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread. Does not wait for a disk that hangs."""
        self._stopping.set()
        self._thread.join(RETRY_SECONDS)

    @property
    def waiting_seconds(self) -> float:
        """How long the test in progress has taken so far; 0 if there is none."""
        began = self._began
        return 0.0 if began is None else time.monotonic() - began

    def _run(self) -> None:
        while not self._stopping.wait(RETRY_SECONDS if self.error else PROBE_SECONDS):
            self._began = began = time.monotonic()
            try:
                self.gone = self.gone or self._is_gone()
                if not self._is_proven():
                    self._test()
            except OSError as error:
                self.error = describe(error)
                self._outage.failed(error)
                self._close()
            else:
                self.error = ""
                self.passed_at = began
                self._outage.succeeded()
            self._began = None
        self._close()

    def _test(self) -> None:
        if self._file is None:
            # Kept open, so that a test needs no new inode, as the journal needs none.
            self._file = tempfile.TemporaryFile(dir=self._directory)  # noqa: SIM115
        fd = self._file.fileno()
        os.pwrite(fd, _BLOCK if _reserve(fd) else bytes(ROOM_BYTES), 0)
        os.fsync(fd)
        os.ftruncate(fd, 0)

    def _close(self) -> None:
        if self._file is not None:
            file, self._file = self._file, None
            try:
                file.close()
            except OSError as error:
                self.error = describe(error)


def _reserve(fd: int) -> bool:
    """Reserve `ROOM_BYTES` for the file; return whether that is possible without writing them. Raise `OSError`."""
    if not hasattr(os, "posix_fallocate"):
        return False
    try:
        os.posix_fallocate(fd, 0, ROOM_BYTES)
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
        return False
    return True


def describe(error: BaseException) -> str:
    """Return what went wrong with a disk, without the name of a file: anybody may read it in `/readyz`."""
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return str(error) if isinstance(error, sqlite3.Error) else type(error).__name__
