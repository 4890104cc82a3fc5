"""Wall clocks that jump: a preloaded library answers what time it is."""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from tests.support.debian_packages import needs

SOURCE = Path(__file__).with_name("clock.c")


class MovedClock:
    """The wall clock of every process whose command line contains `program`; monotonic clocks are unchanged."""

    def __init__(self, folder: Path, program: str) -> None:
        compiler = shutil.which("cc")
        if compiler is None:
            pytest.skip(needs("gcc"))
        folder.mkdir()
        library = folder / "clock.so"
        subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(SOURCE)], check=True)
        self._offset = folder / "offset"
        self._offset.write_bytes(bytes(8))
        self.environment = {
            "LD_PRELOAD": str(library),
            "MOVED_CLOCK_OF": program,
            "MOVED_CLOCK_BY": str(self._offset),
        }

    def move(self, seconds: float) -> None:
        """Set the clock off by that many seconds."""
        # In place and in one write, because the processes have these eight bytes mapped.
        with self._offset.open("r+b", buffering=0) as file:
            file.write(struct.pack("q", int(seconds * 1e9)))

    def reaches(self, pid: int) -> bool:
        """Return whether a process uses the clock; a statically linked program never does."""
        return str(self._offset) in Path(f"/proc/{pid}/maps").read_text()
