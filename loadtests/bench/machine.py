"""The machine: which cores serve and which send load, how busy other processes keep it, and its description."""

from __future__ import annotations

import os
import platform
import re
import resource
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from loadtests.bench.processes import cpu_seconds, kernel_seconds

_TICKS = os.sysconf("SC_CLK_TCK")
_SAMPLE_SECONDS = 0.2
QUIET_CORES = 0.1
"""The machine counts as quiet while others use fewer cores than this."""


class Cores:
    """One core for the server, and the others for its load; on one core both share it."""

    def __init__(self) -> None:
        cores = sorted(os.sched_getaffinity(0))
        self.server = {cores[0]}
        self.load = set(cores[1:]) or {cores[0]}

    def serves(self, pid: int) -> None:
        """Pin all threads of a server."""
        self._pin(pid, self.server)

    def loads(self, pid: int) -> None:
        """Pin all threads of a process on the side of the load."""
        self._pin(pid, self.load)

    @contextmanager
    def loading(self) -> Iterator[None]:
        """Pin this process to the cores of the load inside the block; a child that it starts inherits them."""
        own = os.sched_getaffinity(0)
        os.sched_setaffinity(0, self.load)
        try:
            yield
        finally:
            os.sched_setaffinity(0, own)

    def _pin(self, pid: int, cores: set[int]) -> None:
        for task in Path(f"/proc/{pid}/task").iterdir():
            os.sched_setaffinity(int(task.name), cores)


class Quiet:
    """Wait until the machine is nearly idle, for a bounded time."""

    def __init__(self, each: float, total: float) -> None:
        """Limit one wait, and all together, in seconds."""
        self._each = each
        self._left = total

    def wait(self) -> None:
        """Return when other processes use almost nothing, or when the time is over."""
        began = time.monotonic()
        end = began + min(self._each, self._left)
        while time.monotonic() < end:
            others = Others()
            time.sleep(_SAMPLE_SECONDS)
            if others.cores() < QUIET_CORES:
                break
        self._left = max(0.0, self._left - (time.monotonic() - began))


class Others:
    """Measures how much of the machine processes use that do not belong to the measurement."""

    def __init__(self, *own: int) -> None:
        """Start to measure. This process, the children that it waits for and the processes `own` belong to the
        measurement; kernel threads, which work for them, are not counted as others."""
        self._own = own
        self._began = time.monotonic()
        self._then = _busy_seconds() - self._ours()

    def cores(self) -> float:
        """Return the cores that others have used since then, on average, including those given to other guests."""
        used = _busy_seconds() - self._ours() - self._then
        return max(0.0, used / (time.monotonic() - self._began))

    def _ours(self) -> float:
        usages = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        kernel = sum(kernel_seconds().values())
        return sum(usage.ru_utime + usage.ru_stime for usage in usages) + sum(map(cpu_seconds, self._own)) + kernel


def _busy_seconds() -> float:
    """Return the seconds since boot in which the cores were busy or given to other guests, summed over the cores."""
    user, nice, system, _idle, _wait, irq, softirq, stolen = map(
        int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
    )
    return (user + nice + system + irq + softirq + stolen) / _TICKS


def description() -> dict[str, str]:
    """Return what the figures depend on, by name."""
    model = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return {
        "cores": str(len(os.sched_getaffinity(0))),
        "processor": f"{platform.machine()}, {model[1] if model else 'unnamed'}",
        "kernel": platform.release(),
        "Python": _python(),
        **{name: version(name) for name in ("uvicorn", "uvloop")},
        "nginx": _printed("/usr/sbin/nginx", "-v"),
        "wrk": _printed("wrk", "-v"),
    }


def _python() -> str:
    """Return version and build of this interpreter; Debian's reports the build flags of another one."""
    if sys.base_prefix == "/usr":
        return f"{platform.python_version()} (the system's)"
    optimised = "--enable-optimizations" in str(sysconfig.get_config_var("CONFIG_ARGS"))
    return f"{platform.python_version()} (built {'with' if optimised else 'without'} optimisation)"


def _printed(*command: str) -> str:
    """Return the version that a program prints; `none` if there is no such program."""
    try:
        ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
    except OSError:
        return "none"
    found = re.search(r"\d+\.\d+[\w.]*", ran.stdout + ran.stderr)
    return found[0] if found else "unknown"
