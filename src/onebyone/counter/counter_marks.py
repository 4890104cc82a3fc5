"""Marks of the counters on a data folder, by which the next one knows immediately which of them have ended.

run/counters/<name>   one empty file for each counter, locked by its process for as long as that lives

The kernel releases the lock at the end of the process, however it ends, so that the successor of a killed counter on
the same machine need not wait until the dead one counts as silent. Without a data folder there are no marks.
"""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import Self

from onebyone.runtime.file_lock import FileLock

_NAME = re.compile(r"[0-9a-f]{16}")


class CounterMark:
    """A context in which this process holds the mark of one counter. `ended` are the counters that have ended."""

    def __init__(self, data_dir: Path, counter: str) -> None:
        self.ended: list[str] = []
        self._folder = data_dir / "run" / "counters"
        self._path = self._folder / counter
        self._lock: FileLock | None = None

    def __enter__(self) -> Self:
        # No mark is worth a start: on a full or read-only disk the leases of this counter time out instead.
        with contextlib.suppress(OSError):
            if self._folder.parent.is_dir():
                self._folder.mkdir(mode=0o700, exist_ok=True)
                self._sweep()
                self._lock = FileLock.of_new_file(self._path)
        return self

    def __exit__(self, *_: object) -> None:
        if self._lock is not None:
            with contextlib.suppress(OSError):
                self._path.unlink()
            self._lock.release()

    def _sweep(self) -> None:
        for path in self._folder.iterdir():
            if not _NAME.fullmatch(path.name):
                continue
            try:
                lock = FileLock(path)
            except BlockingIOError:
                continue
            path.unlink()
            lock.release()
            self.ended.append(path.name)
