"""What the kernel says of processes: memory and CPU time (Linux, /proc)."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

from tests.support.product import children

_TICKS = os.sysconf("SC_CLK_TCK")


def family(pid: int) -> list[int]:
    """A process and all that it has started."""
    return [pid, *(found for child in children(pid) for found in family(child))]


def cpu_seconds(pid: int) -> float:
    """User and system time of a process, all its threads together, those that have ended too."""
    # Its CPU clock, as clock_getcpuclockid(3) names it: nanoseconds, where /proc counts in ticks.
    return time.clock_gettime(~pid << 3 | 2)


def thread_seconds(pid: int) -> dict[str, float]:
    """User and system time of the main thread, and all time of the other threads."""
    spent = {"loop, user": 0.0, "loop, kernel": 0.0, "other threads": 0.0}
    for task in Path(f"/proc/{pid}/task").iterdir():
        fields = (task / "stat").read_text().rpartition(")")[2].split()
        user, system = int(fields[11]) / _TICKS, int(fields[12]) / _TICKS
        if task.name == str(pid):
            spent["loop, user"], spent["loop, kernel"] = user, system
        else:
            spent["other threads"] += user + system
    return spent


def kernel_seconds() -> dict[str, float]:
    """CPU time of each of the kernel's own threads: they write to the disk what a server has left to them."""
    spent = {}
    for process in Path("/proc").iterdir():
        # A thread may end meanwhile. Only the kernel's have no command line.
        with contextlib.suppress(OSError):
            if process.name.isdigit() and not (process / "cmdline").read_bytes():
                spent[process.name] = int((process / "schedstat").read_text().split()[0]) / 1e9
    return spent


def resident_mb(pid: int) -> float:
    """Resident memory; pages that processes share count in each."""
    return _kilobytes(Path(f"/proc/{pid}/status"), "VmRSS:") / 1024


def proportional_mb(pid: int) -> float | None:
    """Resident memory with shared pages divided among those who share them; None where it cannot be read."""
    try:
        return _kilobytes(Path(f"/proc/{pid}/smaps_rollup"), "Pss:") / 1024
    except OSError:
        return None


def _kilobytes(path: Path, field: str) -> int:
    return next(int(line.split()[1]) for line in path.read_text().splitlines() if line.startswith(field))
