"""Signals to the processes of a product, and the resources that a process holds."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.support.product import Product, alive
from tests.support.waiting import wait_until


def kill(product: Product, role: str, count: int | None = None) -> None:
    """Send SIGKILL to the first `count` processes of a role, or to all, once one runs."""
    for pid in wait_until(lambda: product.pids(role), f"{role} runs", every=0.02)[:count]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def wait_gone(pids: list[int], why: str) -> None:
    """Wait until none of these processes runs."""
    wait_until(lambda: not any(alive(pid) for pid in pids), why, 60)


@contextlib.contextmanager
def frozen(product: Product, *roles: str) -> Iterator[None]:
    """Stop all processes of the roles with SIGSTOP inside the block; none of them is then in a system call."""
    pids = [pid for role in roles for pid in wait_until(lambda role=role: product.pids(role), f"{role} runs")]  # type: ignore[misc]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        wait_until(lambda: all(map(_is_stopped, pids)), "all have stopped", every=0.001)
        yield
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def _is_stopped(pid: int) -> bool:
    states = (stat.read_text().rpartition(")")[2].split()[0] for stat in Path(f"/proc/{pid}/task").glob("*/stat"))
    return all(state in "TZX" for state in states)


def embedded(product: Product) -> Any:
    """Return a client of the embedded server."""
    return redis.Redis.from_url((product.data_dir / "run" / "embedded-valkey").read_text().strip(), protocol=2)


def answers(product: Product) -> bool:
    """Return whether the embedded server answers."""
    with contextlib.suppress(redis.RedisError, OSError), embedded(product) as client:
        return bool(client.ping())
    return False


def descriptors(pid: int) -> int:
    """Return the number of open files of a process."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def started(pid: int) -> int:
    """Return when a process was started, in ticks since boot; 0 if it has ended."""
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    return 0


def threads(pid: int) -> int:
    """Return the number of threads of a process."""
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


def resident_mb(pid: int) -> int:
    """Return the resident memory of a process in MB."""
    (line,) = (line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) // 1024


def need_descriptors(number: int) -> None:
    """Let this process and its children open that many files, or skip the test."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < number <= hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (number, hard))
    elif hard < number:
        pytest.skip(f"no process here may open more than {hard} files")


@contextlib.contextmanager
def few_descriptors(pids: list[int], spare: int) -> Iterator[None]:
    """Limit running processes to `spare` more files than they have open, inside the block."""
    before = {pid: resource.prlimit(pid, resource.RLIMIT_NOFILE) for pid in pids}
    for pid, (_, hard) in before.items():
        highest = max(int(entry.name) for entry in Path(f"/proc/{pid}/fd").iterdir())
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (highest + 1 + spare, hard))
    try:
        yield
    finally:
        for pid, limits in before.items():
            with contextlib.suppress(ProcessLookupError):
                resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
