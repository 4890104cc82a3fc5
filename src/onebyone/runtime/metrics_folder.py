"""Where the processes of a role keep their metric files: in memory where the system has room for them, not on the disk.

The files are mapped into memory. On a disk that fills up a write to such a page ends the process, and a disk that was
full before would let no process start. Places, the first with room:

    ONEBYONE_METRICS_DIR; or /dev/shm, then XDG_RUNTIME_DIR, then <data_dir>/run

Below the place: `onebyone-<uid>-<hash of the data dir>/metrics-<role>/`. A supervisor holds a lock (flock) in its
folder; one that nobody locks is what a killed run has left behind, and the next start removes it.
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
"""A place with less is passed over: a few kilobytes for each process, and some for those that it replaces."""
_TRIES = 20
_PAUSE_SECONDS = 0.01
_GONE = ".gone"


class MetricsFolders:
    """The folders of one supervisor's roles."""

    def __init__(self, settings: Settings) -> None:
        self._places = _places(settings)
        self._name = _name(settings)
        self._folder: Path | None = None
        self._lock = -1
        self._roles: list[Path] = []

    def fresh(self, role: str) -> Path | None:
        """An empty folder for a role's processes; None when there is room nowhere: each then tells of itself alone."""
        if self._folder is None:
            self._folder = self._make()
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
        """Removes the folders that `fresh` gave, and the one around them unless another supervisor uses it."""
        for folder in self._roles:
            shutil.rmtree(folder, ignore_errors=True)
        if self._folder is not None:
            if _try_lock(self._lock):
                _discard(self._folder)
            os.close(self._lock)

    def _make(self) -> Path | None:
        for place in self._places:
            _sweep(place)
            try:
                if _room(place) >= ROOM_BYTES and (lock := _lock(place / self._name)) >= 0:
                    self._lock = lock
                    return place / self._name
            except OSError:
                continue
        return None


def existing(settings: Settings, role: str) -> list[Path]:
    """The folders of a role that another supervisor on the same data dir may have made."""
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


def _room(place: Path) -> int:
    about = os.statvfs(place)
    return about.f_bavail * about.f_frsize


def _is_ours(folder: Path) -> bool:
    """Whether it is a folder that nobody else could have put there: anybody may write to /dev/shm."""
    try:
        about = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(about.st_mode) and about.st_uid == os.getuid() and not about.st_mode & 0o022


def _lock(folder: Path) -> int:
    """A shared lock in a folder that is made when missing; -1 when it is somebody else's."""
    for _ in range(_TRIES):
        folder.mkdir(mode=0o700, exist_ok=True)
        if not _is_ours(folder):
            return -1
        # A sweep may remove the folder just now: then the lock would be on a file that nobody else can see.
        with contextlib.suppress(FileNotFoundError):
            descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
            if _try_lock(descriptor, shared=True) and (folder / "lock").exists():
                return descriptor
            os.close(descriptor)
        time.sleep(_PAUSE_SECONDS)
    return -1


def _sweep(place: Path) -> None:
    for folder in place.glob(f"onebyone-{os.getuid()}-*"):
        if folder.suffix == _GONE and _is_ours(folder):
            shutil.rmtree(folder, ignore_errors=True)
            continue
        try:
            descriptor = os.open(folder / "lock", os.O_RDWR | os.O_NOFOLLOW)
        except OSError:
            continue
        if _is_ours(folder) and _try_lock(descriptor):
            _discard(folder)
        os.close(descriptor)


def _discard(folder: Path) -> None:
    # Out of the way in one step: a supervisor that starts at this moment makes the folder anew.
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
