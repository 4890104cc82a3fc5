"""File descriptors of a process: as many as the system allows, some of them kept from its clients."""

from __future__ import annotations

import resource

OPEN_FILES = 65_536
"""For each process, where the system allows as many: more than any process needs, and a limit without end would slow
down what walks through all numbers."""
RESERVE = 128
"""Descriptors that connections of clients do not get: journals (three each), stores, metric files, logs and the
connections to the servers take about sixty, and more while journals of dead processes are shipped."""


def raise_descriptor_limit() -> None:
    """Raise the soft limit of this process, and of its future children, to the hard one, up to `OPEN_FILES`."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def count_for_clients() -> int:
    """Return how many descriptors clients may take: all that the process may have but `RESERVE`, but at least half."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = OPEN_FILES if soft == resource.RLIM_INFINITY else soft
    return max(limit - RESERVE, limit // 2)
