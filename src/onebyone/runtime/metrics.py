"""Metric types whose files are allocated before they are written to.

prometheus_client creates sparse files and maps them into memory: on a full file system, writing to such a page ends the
process with SIGBUS. Here the blocks are allocated first; where there are none, the values stay in the memory of their
process, which keeps running but does not share them with its siblings.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import struct
from pathlib import Path
from typing import Any, cast

from prometheus_client import Counter, Gauge, Histogram, values
from prometheus_client.mmap_dict import MmapedDict

__all__ = ["Counter", "Gauge", "Histogram"]

FILE_BYTES = 4 * mmap.PAGESIZE
"""Size of a new file, which holds about a hundred values; a full file doubles."""
_ENTRY_BYTES = 32
"""Upper bound of an entry's size besides its name: length, padding, value and timestamp."""


class ReservedDict(MmapedDict):
    """A file of metrics that never grows beyond the blocks that the file system has allocated."""

    def __init__(self, filename: str, read_mode: bool = False) -> None:
        if read_mode or _allocated_file(Path(filename)):
            super().__init__(filename, read_mode)  # type: ignore[no-untyped-call]
            return
        self._f = cast("Any", None)
        self._fname = filename
        self._m = mmap.mmap(-1, FILE_BYTES)
        self._capacity = FILE_BYTES
        self._positions = {}
        self._used = 8
        self._m[:4] = struct.pack("i", self._used)

    def _init_value(self, key: str) -> None:
        while self._used + len(key.encode()) + _ENTRY_BYTES > self._capacity:
            self._grow()
        super()._init_value(key)  # type: ignore[no-untyped-call]

    def _grow(self) -> None:
        doubled = self._capacity * 2
        if self._f is not None and _allocate(self._f.fileno(), doubled):
            self._m = mmap.mmap(self._f.fileno(), doubled)
        else:
            private = mmap.mmap(-1, doubled)
            private[: self._used] = self._m[: self._used]
            self._m = private
            if self._f is not None:
                self._f.close()
                self._f = cast("Any", None)
        self._capacity = doubled


def _allocated_file(path: Path) -> bool:
    if path.exists():
        return True
    # Under another name first: a reader of the folder must never see a file without its first page.
    new = path.with_suffix(".new")
    with contextlib.suppress(OSError):
        with new.open("wb") as file:
            allocated = _allocate(file.fileno(), FILE_BYTES)
        if allocated:
            new.rename(path)
            return True
        new.unlink()
    return False


def _allocate(fd: int, size: int) -> bool:
    if not hasattr(os, "posix_fallocate"):
        os.truncate(fd, size)
        return True
    try:
        os.posix_fallocate(fd, 0, size)
    except OSError:
        return False
    return True


values.MmapedDict = ReservedDict  # type: ignore[attr-defined]
