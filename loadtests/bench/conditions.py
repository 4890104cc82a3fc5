"""The conditions of a round, and a round of wrk against one server."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from loadtests.bench import processes, wrk
from loadtests.bench.machine import Cores, Others, Quiet
from loadtests.bench.rows import Row
from onebyone.contracts import keys
from tests.support.valkey import ValkeyProcess

STREAMS = [keys.events_key(shard) for shard in range(4)]
PEER_STREAM = "bench:events"
_MAX_POLLS = 20
"""Three seconds: the edge ships within one."""


@dataclass(frozen=True)
class Server:
    """A server under test, and the file of requests that it receives."""

    url: str
    pid: int
    requests: Path


@dataclass(frozen=True)
class Conditions:
    """What all rounds have in common. `seconds` is the length of one."""

    folder: Path
    rounds: int
    seconds: float
    connections: int
    cores: Cores
    quiet: Quiet

    def round(self, row: Row, server: Server, valkey: ValkeyProcess) -> float:
        """Saturate the server, add to the row what that cost, and return the answers per second."""
        self.quiet.wait()
        parts, cpu = processes.thread_seconds(server.pid), processes.cpu_seconds(server.pid)
        kernel = processes.kernel_seconds()
        stream_cpu, others = processes.cpu_seconds(valkey.pid), Others(server.pid, valkey.pid)
        with self.cores.loading():
            answers = wrk.run_wrk(server.url, server.requests, self.connections, self.seconds)
        used_by_others = others.cores()
        each = 1e6 / answers.requests
        values = {
            "micros": (processes.cpu_seconds(server.pid) - cpu) * each,
            "rate": answers.rate,
            "p50_ms": answers.p50_ms,
            "p99_ms": answers.p99_ms,
            "errors": answers.errors,
        }
        for part, spent in processes.thread_seconds(server.pid).items():
            values[part] = (spent - parts[part]) * each
        values["kernel threads"] = each * sum(
            spent - kernel.get(thread, 0.0) for thread, spent in processes.kernel_seconds().items()
        )
        entries, events_bytes = take_stream(valkey)
        if entries:
            values["redis_micros"] = (processes.cpu_seconds(valkey.pid) - stream_cpu) * each
            values["batch"] = answers.requests / entries
            values["stream_bytes"] = events_bytes / answers.requests
        row.add(values, used_by_others)
        return answers.rate


def take_stream(valkey: ValkeyProcess) -> tuple[int, int]:
    """Wait until no more entries arrive, empty the streams, and return the number of entries and their bytes."""
    with valkey.client() as client:
        names = [*STREAMS, PEER_STREAM]
        entries, before = sum(int(client.xlen(name)) for name in names), 0
        for _ in range(_MAX_POLLS):
            if entries == before:
                break
            time.sleep(0.15)
            before, entries = entries, sum(int(client.xlen(name)) for name in names)
        memory = sum(int(client.memory_usage(name, samples=0) or 0) for name in names)
        client.delete(*names)
    return entries, memory
