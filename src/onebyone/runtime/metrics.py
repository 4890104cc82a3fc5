"""Metric types whose files have their room before they are written to.

prometheus_client makes its files without blocks and maps them into memory: where the file system has no room for a
page, writing to it ends the process by SIGBUS. Here the room is reserved first; where there is none, the numbers stay
in the memory of their process, which then goes on without telling them to its siblings.
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
"""Of a new file; it doubles when it is full."""
_ENTRY_BYTES = 32
"""What an entry needs beside its name, at most."""


class ReservedDict(MmapedDict):
    """A file of metrics that never grows beyond what the file system has given it."""

    def __init__(self, filename: str, read_mode: bool = False) -> None:
        if read_mode or _made(Path(filename)):
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
        twice = self._capacity * 2
        if self._f is not None and _reserved(self._f.fileno(), twice):
            self._m = mmap.mmap(self._f.fileno(), twice)
        else:
            private = mmap.mmap(-1, twice)
            private[: self._used] = self._m[: self._used]
            self._m = private
            if self._f is not None:
                self._f.close()
                self._f = cast("Any", None)
        self._capacity = twice


def _made(path: Path) -> bool:
    if path.exists():
        return True
    # Under another name first: whoever reads the folder must never see a file without its first page.
    new = path.with_suffix(".new")
    with contextlib.suppress(OSError):
        with new.open("wb") as file:
            reserved = _reserved(file.fileno(), FILE_BYTES)
        if reserved:
            new.rename(path)
            return True
        new.unlink()
    return False


def _reserved(descriptor: int, size: int) -> bool:
    if not hasattr(os, "posix_fallocate"):
        os.truncate(descriptor, size)
        return True
    try:
        os.posix_fallocate(descriptor, 0, size)
    except OSError:
        return False
    return True


values.MmapedDict = ReservedDict  # type: ignore[attr-defined]
