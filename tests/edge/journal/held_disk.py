"""A disk whose syncs end when a test lets them, or with a fault: over a real file, which is really synced."""

from __future__ import annotations

import os

from onebyone.edge.journal import disk_sync
from onebyone.edge.journal.disk_sync import DiskSync, ThreadSync


class HeldDisk:
    """A `DiskSync` of one journal; each sync ends at once unless the disk hangs."""

    def __init__(self) -> None:
        self.fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.under_way = False
        self.refuses_to_begin: OSError | None = None
        self.refuses: OSError | None = None
        """What every sync ends with."""
        self._hangs = False
        self._real: DiskSync

    def of(self, file: int) -> HeldDisk:
        """In the place of `disk_sync.open_disk_sync`."""
        self._real = ThreadSync(file)
        return self

    def start(self) -> None:
        """See `DiskSync`."""
        if self.refuses_to_begin is not None:
            raise self.refuses_to_begin
        disk_sync.sync_and_wait(self._real)
        self.under_way = True
        if not self._hangs:
            os.eventfd_write(self.fd, 1)

    def poll_done(self) -> bool:
        """See `DiskSync`."""
        try:
            os.eventfd_read(self.fd)
        except BlockingIOError:
            return False
        self.under_way = False
        if self.refuses is not None:
            raise self.refuses
        return True

    def close(self) -> None:
        """See `DiskSync`."""
        self._real.close()
        os.close(self.fd)

    def hang(self) -> None:
        """No sync ends from now on."""
        self._hangs = True

    def go_on(self) -> None:
        """The one that is under way ends, and all that come."""
        self._hangs = False
        if self.under_way:
            os.eventfd_write(self.fd, 1)
