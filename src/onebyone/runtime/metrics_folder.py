"""The folders of a role's metric files: in memory rather than on the disk, where the system has room.

The files are memory-mapped. On a disk that fills up, a write to such a page ends the process, and on a full disk no
process would start. Candidates, of which the first with room is taken:

    ONEBYONE_METRICS_DIR; or /dev/shm, then XDG_RUNTIME_DIR, then <data_dir>/run

Below it: `onebyone-<uid>-<hash of the data folder>/metrics-<role>/`. A supervisor holds a lock in its folder; the next
start removes folders without a lock holder, which killed runs have left.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
import stat
import time
from pathlib import Path

from onebyone.runtime.file_lock import try_lock
from onebyone.settings import Settings

ROOM_BYTES = 4 * 1024 * 1024
"""Free bytes that a candidate needs: a few kilobytes per process, including those of a rolling restart."""
_TRIES = 20
_PAUSE_SECONDS = 0.01
"""Another start's sweep holds a lock for microseconds: a fifth of a second is plenty."""
_GONE = ".gone"


class MetricsFolders:
    """The folders of one supervisor's roles."""

    def __init__(self, settings: Settings) -> None:
        self._places = _places(settings)
        self._name = _name(settings)
        self._folder: Path | None = None
        self._lock = -1
        self._roles: list[Path] = []

    def create(self, role: str) -> Path | None:
        """Return an empty folder for a role's processes; None without room: each process then shows only its own."""
        if self._folder is None:
            self._folder = self._choose()
        if self._folder is None:
            return None
        folder = self._folder / f"metrics-{role}"
        try:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(mode=0o700, exist_ok=True)
        except OSError:
            return None
        self._roles.append(folder)
        return folder

    def remove(self) -> None:
        """Remove the folders that `create` returned, and their parent unless another supervisor uses it."""
        for folder in self._roles:
            shutil.rmtree(folder, ignore_errors=True)
        if self._folder is not None:
            if _try_lock(self._lock):
                _discard(self._folder)
            os.close(self._lock)

    def _choose(self) -> Path | None:
        for place in self._places:
            _sweep(place)
            try:
                if _free_bytes(place) >= ROOM_BYTES and (lock := _lock(place / self._name)) >= 0:
                    self._lock = lock
                    return place / self._name
            except OSError:
                continue
        return None


def existing_folders(settings: Settings, role: str) -> list[Path]:
    """Return the folders of a role that another supervisor on the same data folder may have created."""
    folders = [place / _name(settings) for place in _places(settings)]
    return [folder / f"metrics-{role}" for folder in folders if _is_ours(folder)]


def _places(settings: Settings) -> list[Path]:
    if settings.metrics_dir:
        return [Path(settings.metrics_dir)]
    named = ["/dev/shm", os.environ.get("XDG_RUNTIME_DIR")]  # noqa: S108
    return [*(Path(name) for name in named if name), settings.data_dir.resolve() / "run"]


def _name(settings: Settings) -> str:
    digest = hashlib.sha256(os.fsencode(settings.data_dir.resolve())).hexdigest()
    return f"onebyone-{os.getuid()}-{digest[:16]}"


def _free_bytes(place: Path) -> int:
    stats = os.statvfs(place)
    return stats.f_bavail * stats.f_frsize


def _is_ours(folder: Path) -> bool:
    """Return whether only this user can have created the folder: everyone may write to /dev/shm."""
    try:
        status = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o022


def _lock(folder: Path) -> int:
    """Return the descriptor of a shared lock in a folder, created when missing; -1 when another user owns it."""
    for _ in range(_TRIES):
        folder.mkdir(mode=0o700, exist_ok=True)
        if not _is_ours(folder):
            return -1
        # A sweep may remove the folder concurrently: the lock would then be on a file that no other process sees.
        with contextlib.suppress(FileNotFoundError):
            fd = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
            if _try_lock(fd, shared=True) and (folder / "lock").exists():
                return fd
            os.close(fd)
        time.sleep(_PAUSE_SECONDS)
    return -1


def _sweep(place: Path) -> None:
    for folder in place.glob(f"onebyone-{os.getuid()}-*"):
        if folder.suffix == _GONE and _is_ours(folder):
            shutil.rmtree(folder, ignore_errors=True)
            continue
        try:
            fd = os.open(folder / "lock", os.O_RDWR | os.O_NOFOLLOW)
        except OSError:
            continue
        if _is_ours(folder) and _try_lock(fd):
            _discard(folder)
        os.close(fd)


def _discard(folder: Path) -> None:
    # Rename first: a supervisor that starts at this moment then creates the folder anew.
    gone = folder.with_name(f"{folder.name}-{secrets.token_hex(4)}{_GONE}")
    with contextlib.suppress(OSError):
        folder.rename(gone)
    shutil.rmtree(gone, ignore_errors=True)


def _try_lock(fd: int, *, shared: bool = False) -> bool:
    try:
        return try_lock(fd, shared=shared)
    except OSError:
        # A file system without locks: the metrics then stay in the memory of each process.
        return False
