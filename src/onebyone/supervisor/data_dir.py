"""The data folder: made when missing, used by one supervisor of a role at a time.

run/<role>.lock      locked (flock) by the supervisor and, by inheritance, by every child process of that role,
                     so the next start waits for children that outlive a killed supervisor; holds its process id
run/embedded-valkey  URL of the embedded server while it runs
run/valkey-server    copy of the bundled program, only where that one is not executable
valkey/              data of the embedded server
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

from onebyone.runtime.file_lock import try_lock
from onebyone.supervisor.fault import StartFault

ORPHAN_SECONDS = 15.0
"""How long to wait for processes that outlive a killed supervisor."""

FULL_BYTES = 16_384


class DataDir:
    """A usable data folder. Raises `StartFault` when it is none."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self.run = self.path / "run"
        self.valkey = self.path / "valkey"
        self.embedded_url = self.run / "embedded-valkey"
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.run.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise self._unusable(error) from None

    def lock(self, role: str, patience: float = ORPHAN_SECONDS) -> int:
        """Locks the folder for a role; the inheritable file descriptor holds the lock while any process has it open.

        Raises `StartFault` at once when another supervisor has it, and after `patience` seconds when that one is dead
        but its children are not.
        """
        path = self.run / f"{role}.lock"
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise self._unusable(error) from None
        deadline = time.monotonic() + patience
        while not try_lock(descriptor):
            holder = int(os.pread(descriptor, 20, 0) or b"0")
            if holder != os.getpid() and _runs(holder):
                raise StartFault(f"data dir {self.path} is already in use by process {holder}")
            if time.monotonic() > deadline:
                raise StartFault(
                    f"data dir {self.path} is still in use by {role} processes that process {holder} left behind"
                )
            time.sleep(0.05)
        # A full disk takes no first byte; the lock holds without, and only nobody is told who has it.
        with contextlib.suppress(OSError):
            os.pwrite(descriptor, b"%-19d\n" % os.getpid(), 0)
        return descriptor

    def is_full(self) -> bool:
        """Whether its disk has no room for as much as an empty file."""
        about = os.statvfs(self.path)
        return about.f_bavail * about.f_frsize < FULL_BYTES

    def _unusable(self, error: OSError) -> StartFault:
        return StartFault(f"data dir {self.path} cannot be used: {error.strerror} ({error.filename})")


def _runs(pid: int) -> bool:
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        # An ended process that its parent has not collected yet still has a process id.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return True
