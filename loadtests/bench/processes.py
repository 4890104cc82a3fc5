"""Memory and CPU time of processes, as Linux reports them."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

from tests.support.product import children

_TICKS = os.sysconf("SC_CLK_TCK")


def family(pid: int) -> list[int]:
    """Return the ids of a process and all its descendants."""
    return [pid, *(descendant for child in children(pid) for descendant in family(child))]


def cpu_seconds(pid: int) -> float:
    """Return the user and system time of a process, including threads that have ended."""
    # The id of its CPU clock, as clock_getcpuclockid(3) returns it: nanoseconds, while /proc counts in ticks.
    return time.clock_gettime(~pid << 3 | 2)


def thread_seconds(pid: int) -> dict[str, float]:
    """Return the user and the system time of the main thread, and the time of the other threads."""
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
    """Return the CPU time of each kernel thread: they write to the disk what a server has left to them."""
    spent = {}
    for process in Path("/proc").iterdir():
        # A thread may end meanwhile. Only kernel threads have no command line.
        with contextlib.suppress(OSError):
            if process.name.isdigit() and not (process / "cmdline").read_bytes():
                spent[process.name] = int((process / "schedstat").read_text().split()[0]) / 1e9
    return spent


def resident_mb(pid: int) -> float:
    """Return the resident memory in MB; shared pages count in each process."""
    return _kilobytes(Path(f"/proc/{pid}/status"), "VmRSS:") / 1024


def proportional_mb(pid: int) -> float | None:
    """Return the resident memory in MB, with shared pages divided among processes; None if it cannot be read."""
    try:
        return _kilobytes(Path(f"/proc/{pid}/smaps_rollup"), "Pss:") / 1024
    except OSError:
        return None


def _kilobytes(path: Path, field: str) -> int:
    return next(int(line.split()[1]) for line in path.read_text().splitlines() if line.startswith(field))
