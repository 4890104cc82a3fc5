"""Small file systems: one that fills up, one that loses power under its users, one that hangs."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.debian_packages import needs

_EXT4_IOC_SHUTDOWN = 0x8004587D
_NO_LOG_FLUSH = 2
_FREEZE, _THAW = 0xC0045877, 0xC0045878
"""`FIFREEZE` and `FITHAW` of linux/fs.h."""


@contextlib.contextmanager
def small(folder: Path, megabytes: int) -> Iterator[Path]:
    """Mount a tmpfs of that many megabytes on `folder`."""
    folder.mkdir(parents=True)
    _mount("-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder))
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@contextlib.contextmanager
def filled(folder: Path) -> Iterator[None]:
    """Fill the disk of `folder` to the last block inside the block."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"\0" * 4096)
    try:
        yield
    finally:
        ballast.unlink()


class LoopDisk:
    """An ext4 file system in a file, mounted on `folder` through a loop device. Skips the test unless root runs it."""

    def __init__(self, image: Path, folder: Path, megabytes: int) -> None:
        if os.getuid() != 0:
            pytest.skip("only root mounts a file system")
        program = shutil.which("mkfs.ext4", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
        if program is None:
            pytest.skip(needs("e2fsprogs"))
        self._image = image
        self.folder = folder
        folder.mkdir(parents=True)
        with image.open("wb") as file:
            file.truncate(megabytes * 2**20)
        # Write all of it now: otherwise a kernel thread does so while the disk is in use.
        options = "lazy_itable_init=0,lazy_journal_init=0"
        subprocess.run([program, "-q", "-E", options, str(image)], check=True)
        self.mount()

    def mount(self) -> None:
        """Mount the file system and replay its journal."""
        _mount("-o", "loop", str(self._image), str(self.folder))

    def unmount(self) -> None:
        """Unmount the file system, on which no file may be open."""
        subprocess.run(["umount", str(self.folder)], check=True)

    def remove(self) -> None:
        """Unmount the file system in any state."""
        subprocess.run(["umount", "-l", str(self.folder)], capture_output=True)

    def lose_power(self) -> None:
        """Lose what is not synced, write nothing more, and fail every access with EIO until the next mount."""
        self._control(_EXT4_IOC_SHUTDOWN, _NO_LOG_FLUSH)

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Block every write inside the block."""
        self._control(_FREEZE, 0)
        try:
            yield
        finally:
            self._control(_THAW, 0)

    def _control(self, request: int, argument: int) -> None:
        fd = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, request, struct.pack("I", argument))
        finally:
            os.close(fd)


@contextlib.contextmanager
def hanging(below: Path, folder: Path, megabytes: int) -> Iterator[LoopDisk]:
    """Mount a `LoopDisk` on `folder` and yield the disk below, which holds its image.

    While the disk below is frozen, syncs on the upper one hang, but writes to the page cache do not.
    """
    lower = LoopDisk(below.with_suffix(".image"), below, 2 * megabytes)
    try:
        upper = LoopDisk(below / "image", folder, megabytes)
        try:
            yield lower
        finally:
            upper.remove()
    finally:
        lower.remove()


def _mount(*arguments: str) -> None:
    ended = subprocess.run(["mount", *arguments], capture_output=True, text=True)
    if ended.returncode != 0:
        pytest.skip(f"cannot mount a file system: {ended.stderr.strip()}")
