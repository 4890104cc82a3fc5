"""Under what conditions a round runs, and one round of wrk against one server."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from loadtests.bench import processes, wrk
from loadtests.bench.machine import Cores, Others, Quiet
from loadtests.bench.rows import Row
from onebyone.contracts import keys
from tests.support.valkey import ValkeyProcess

STREAMS = [keys.events(shard) for shard in range(4)]
PEER_STREAM = "bench:events"
_LOOKS = 20


@dataclass(frozen=True)
class Server:
    """A server under test, and the file of requests that it gets."""

    url: str
    pid: int
    requests: Path


@dataclass(frozen=True)
class Conditions:
    """What all rounds have in common."""

    folder: Path
    rounds: int
    seconds: float
    connections: int
    cores: Cores
    quiet: Quiet

    def round(self, row: Row, server: Server, valkey: ValkeyProcess) -> float:
        """Loads the server with all that it can answer and adds to the row what that cost; the answers a second."""
        self.quiet.wait()
        parts, cpu = processes.thread_seconds(server.pid), processes.cpu_seconds(server.pid)
        kernel = processes.kernel_seconds()
        stream_cpu, others = processes.cpu_seconds(valkey.pid), Others(server.pid, valkey.pid)
        with self.cores.loading():
            answers = wrk.run(server.url, server.requests, self.connections, self.seconds)
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
    """How many entries came, and their bytes, once no more come; the streams are empty afterwards."""
    with valkey.client() as client:
        names = [*STREAMS, PEER_STREAM]
        entries, before = sum(int(client.xlen(name)) for name in names), 0
        for _ in range(_LOOKS):
            if entries == before:
                break
            time.sleep(0.15)
            before, entries = entries, sum(int(client.xlen(name)) for name in names)
        memory = sum(int(client.memory_usage(name, samples=0) or 0) for name in names)
        client.delete(*names)
    return entries, memory
