"""Small file systems of their own: one that fills up, one that can be taken away under its users, one that hangs."""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

_EXT4_IOC_SHUTDOWN = 0x8004587D
_NO_LOG_FLUSH = 2
_FREEZE, _THAW = 0xC0045877, 0xC0045878
"""`FIFREEZE` and `FITHAW` of linux/fs.h."""


@contextlib.contextmanager
def small(folder: Path, megabytes: int) -> Iterator[Path]:
    """A tmpfs of so many megabytes, mounted on `folder`."""
    folder.mkdir(parents=True)
    _mount("-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder))
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@contextlib.contextmanager
def filled(folder: Path) -> Iterator[None]:
    """Not one block is free on the disk of `folder`."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"\0" * 4096)
    try:
        yield
    finally:
        ballast.unlink()


class LoopDisk:
    """An ext4 in a file, mounted on `folder` through a loop device."""

    def __init__(self, image: Path, folder: Path, megabytes: int) -> None:
        self._image = image
        self.folder = folder
        folder.mkdir(parents=True)
        with image.open("wb") as file:
            file.truncate(megabytes * 2**20)
        # All of it is written now, and not by a thread of the kernel's while it is used.
        options = "lazy_itable_init=0,lazy_journal_init=0"
        subprocess.run(["mkfs.ext4", "-q", "-E", options, str(image)], check=True)
        self.mount()

    def mount(self) -> None:
        """Mounts it; what its journal holds is applied."""
        _mount("-o", "loop", str(self._image), str(self.folder))

    def unmount(self) -> None:
        """Takes it away; nobody may have a file open."""
        subprocess.run(["umount", str(self.folder)], check=True)

    def remove(self) -> None:
        """The end of it, in any state."""
        subprocess.run(["umount", "-l", str(self.folder)], capture_output=True)

    def lose_power(self) -> None:
        """Nothing more reaches the disk, what was not synced is gone, and every access is EIO, until the next mount."""
        self._control(_EXT4_IOC_SHUTDOWN, _NO_LOG_FLUSH)

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Whoever writes to it waits."""
        self._control(_FREEZE, 0)
        try:
            yield
        finally:
            self._control(_THAW, 0)

    def _control(self, request: int, argument: int) -> None:
        descriptor = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, request, struct.pack("I", argument))
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def hanging(below: Path, folder: Path, megabytes: int) -> Iterator[LoopDisk]:
    """Mounts a `LoopDisk` on `folder`, and yields the one below, which holds its image.

    While the one below is frozen the disk hangs, and only that: its users write to the kernel's memory as before.
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
