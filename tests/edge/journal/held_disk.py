"""A `DiskSync` whose syncs end when a test says so, or with an error; the file below is really synced."""

from __future__ import annotations

import os

from onebyone.edge.journal import disk_sync
from onebyone.edge.journal.disk_sync import DiskSync, ThreadSync


class HeldDisk:
    """A `DiskSync` of one journal: each sync ends immediately, unless the disk hangs."""

    def __init__(self) -> None:
        self.fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.in_progress = False
        self.start_error: OSError | None = None
        self.sync_error: OSError | None = None
        """The error with which every sync ends."""
        self._hangs = False
        self._real: DiskSync

    def open(self, file_fd: int) -> HeldDisk:
        """Stand in for `disk_sync.open_disk_sync`."""
        self._real = ThreadSync(file_fd)
        return self

    def start(self) -> None:
        """See `DiskSync`."""
        if self.start_error is not None:
            raise self.start_error
        disk_sync.sync_and_wait(self._real)
        self.in_progress = True
        if not self._hangs:
            os.eventfd_write(self.fd, 1)

    def poll_done(self) -> bool:
        """See `DiskSync`."""
        try:
            os.eventfd_read(self.fd)
        except BlockingIOError:
            return False
        self.in_progress = False
        if self.sync_error is not None:
            raise self.sync_error
        return True

    def close(self) -> None:
        """See `DiskSync`."""
        self._real.close()
        os.close(self.fd)

    def hang(self) -> None:
        """Let no sync end from now on."""
        self._hangs = True

    def resume(self) -> None:
        """End the sync in progress, and let all later ones end."""
        self._hangs = False
        if self.in_progress:
            os.eventfd_write(self.fd, 1)
