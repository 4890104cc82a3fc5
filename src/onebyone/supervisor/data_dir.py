"""The data folder: created when missing, and used by one supervisor of each role at a time.

run/<role>.lock      locked (flock) by the supervisor and, by inheritance, by every child process of that role, so the
                     next start waits for children that outlive a killed supervisor; holds the supervisor's process id
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
"""How long to wait for processes that outlive a killed supervisor: a drain's 12 seconds and some."""

FULL_BYTES = 16_384
"""With less free space not even an empty SQLite file with its WAL can be created."""


class DataDir:
    """A usable data folder; raises `StartFault` when `path` cannot be one."""

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
        """Lock the folder for a role; the inheritable file descriptor holds the lock while any process has it open.

        Raise `StartFault` immediately when another supervisor has the lock, and after `patience` seconds when that
        supervisor is dead but its children are not.
        """
        path = self.run / f"{role}.lock"
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise self._unusable(error) from None
        deadline = time.monotonic() + patience
        while not try_lock(fd):
            holder = int(os.pread(fd, 20, 0) or b"0")
            if holder != os.getpid() and _is_running(holder):
                raise StartFault(f"data folder {self.path} is already in use by process {holder}")
            if time.monotonic() > deadline:
                raise StartFault(
                    f"data folder {self.path} is still in use by {role} processes that process {holder} left behind"
                )
            time.sleep(0.05)
        # A full disk may not take the process id; the lock holds nevertheless, only its holder is not named.
        with contextlib.suppress(OSError):
            os.pwrite(fd, b"%-19d\n" % os.getpid(), 0)
        return fd

    def is_full(self) -> bool:
        """Return whether its disk has no room for even an empty database."""
        disk = os.statvfs(self.path)
        return disk.f_bavail * disk.f_frsize < FULL_BYTES

    def _unusable(self, error: OSError) -> StartFault:
        return StartFault(f"data folder {self.path} cannot be used: {error.strerror} ({error.filename})")


def _is_running(pid: int) -> bool:
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
