"""CPU time a request of the edge and its peers: interleaved rounds on pinned cores, one table, one JSON file.

Each round runs through all contenders, every other round backwards. The server has one core, wrk and the Redis server
another. A figure is all user and system time of the server's process, all threads, by the kernel's count, divided by
wrk's count of answers. Read ratios: a noisy machine moves all rows together.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from loadtests import peers, processes
from onebyone import keys
from onebyone.configuration import MemberRecord
from tests.edge.edge_process import EdgeProcess, Publisher, tracker
from tests.support.valkey import ValkeyProcess, start_valkey

RESULTS = Path(__file__).parents[1] / "bench-results"
BROWSERS = Path(__file__).with_name("browsers.lua")
CLICK = "/clktr?id=1&cachebuster=CB"
LOG, LUA, BARE = "nginx, log line", "nginx, Lua, XADD", "bare ASGI"
"""The peers that ratios refer to."""
SCRIPT = "/imptr?id=531&t=1&cachebuster=CB&ancost=0.25"


@dataclass
class Row:
    """What one contender did, a value a round."""

    name: str
    micros: list[float] = field(default_factory=list)
    """CPU of the server process, microseconds a request."""
    rate: list[float] = field(default_factory=list)
    p50_ms: list[float] = field(default_factory=list)
    p99_ms: list[float] = field(default_factory=list)
    redis_micros: list[float] = field(default_factory=list)
    batch: list[float] = field(default_factory=list)
    """Events of one stream entry."""
    bytes_in_stream: list[float] = field(default_factory=list)
    """Memory of the stream server an event."""
    parts: list[dict[str, float]] = field(default_factory=list)
    """Where `micros` went, by `processes.thread_seconds`."""


@dataclass(frozen=True)
class Contender:
    """A server under test."""

    name: str
    start: Callable[[], AbstractContextManager[tuple[str, int]]]
    path: str = peers.IMPRESSION
    connection: str = "keep-alive"


class Cores:
    """One core for the server, the others for what loads it; nothing is pinned where there is only one."""

    def __init__(self) -> None:
        cores = sorted(os.sched_getaffinity(0))
        self.server = {cores[0]}
        self.load = set(cores[1:]) or {cores[0]}

    def pin(self, pid: int, cores: set[int]) -> None:
        """All threads of a process."""
        for task in Path(f"/proc/{pid}/task").iterdir():
            os.sched_setaffinity(int(task.name), cores)


@contextmanager
def edge(folder: Path, valkey: ValkeyProcess, **settings: str) -> Iterator[tuple[str, int]]:
    """An edge process, warm."""
    process = EdgeProcess(folder, valkey.url, journal_overlap_seconds="0", **settings)
    process.start()
    for path in (peers.IMPRESSION, CLICK, SCRIPT):
        if process.get(path.replace("CB", "1")).headers["x-onebyone"] != "recorded":
            raise RuntimeError(f"{path} is not recorded")
    assert process.process is not None
    try:
        yield process.url, process.process.pid
    finally:
        process.stop()
        process.listener.close()


def contenders(folder: Path, valkey: ValkeyProcess) -> list[Contender]:
    """All that can run here; says what cannot."""
    found = []
    log = peers.running(peers.nginx_log)
    if (reason := peers.missing_nginx()) is None:
        found.append(Contender(LOG, lambda: log(folder / "log")))
        found.append(Contender(f"{LOG}, close", lambda: log(folder / "log-close"), connection="close"))
    else:
        print(f"skipped: nginx: {reason}")
    if (reason := peers.missing_lua()) is None:
        lua = peers.running(peers.nginx_lua)
        socket = re.sub(r"^unix://|\?.*$", "", valkey.url)
        found.append(Contender(LUA, lambda: lua(folder / "lua", socket)))
    else:
        print(f"skipped: nginx with Lua: {reason}")
    bare = peers.running(peers.bare)
    found.append(Contender(BARE, lambda: bare(folder)))
    found.append(Contender("edge", lambda: edge(folder / "edge", valkey)))
    found.append(Contender("edge, click", lambda: edge(folder / "click", valkey), CLICK))
    found.append(Contender("edge, t=1", lambda: edge(folder / "script", valkey), SCRIPT))
    found.append(Contender("edge, close", lambda: edge(folder / "close", valkey), connection="close"))
    found.append(Contender("edge, memory", lambda: edge(folder / "memory", valkey, receipt="memory")))
    found.append(Contender("edge, ASGI way", lambda: edge(folder / "asgi", valkey, edge_http="asgi")))
    return found


def run(folder: Path, rounds: int, seconds: float, connections: int) -> None:
    """Runs all rounds, prints the table and writes the results."""
    if shutil.which("wrk") is None:
        print("skipped: the contest: wrk is not installed")
        return
    cores = Cores()
    valkey = start_valkey(folder / "valkey")
    cores.pin(valkey.pid, cores.load)
    Publisher(valkey).publish(
        MemberRecord(7), tracker("imp", 531), tracker("clk", 1, click_url="https://landing.example/offer?a=1")
    )
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with ExitStack() as stack:
            running = []
            for contender in contenders(folder, valkey):
                url, pid = stack.enter_context(contender.start())
                cores.pin(pid, cores.server)
                running.append((contender, url, pid, Row(contender.name)))
            valkey.client().delete(*map(keys.events, range(4)))
            for number in range(rounds):
                for contender, url, pid, row in running if number % 2 == 0 else running[::-1]:
                    _round(contender, url, pid, row, valkey, cores, seconds, connections)
                print(f"  round {number + 1} of {rounds}", flush=True)
        rows = [row for *_, row in running]
    finally:
        valkey.remove()
    print_table(rows)
    write(rows, {"rounds": rounds, "seconds": seconds, "connections": connections})


def _round(
    contender: Contender,
    url: str,
    pid: int,
    row: Row,
    valkey: ValkeyProcess,
    cores: Cores,
    seconds: float,
    connections: int,
) -> None:
    command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--latency", "-s", str(BROWSERS)]
    command += [url, "--", contender.path, contender.connection]
    parts, cpu, redis_cpu = processes.thread_seconds(pid), processes.cpu_seconds(pid), processes.cpu_seconds(valkey.pid)
    # A child inherits its parent's cores.
    own = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores.load)
    try:
        output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    finally:
        os.sched_setaffinity(0, own)
    spent = processes.cpu_seconds(pid) - cpu
    requests = int(_figure(r"(\d+) requests in", output))
    if "Non-2xx" in output and contender.path != CLICK:
        raise RuntimeError(f"{contender.name}: {output}")
    row.micros.append(spent / requests * 1e6)
    row.parts.append(
        {name: (now - parts[name]) / requests * 1e6 for name, now in processes.thread_seconds(pid).items()}
    )
    row.rate.append(_figure(r"Requests/sec: +([\d.]+)", output))
    row.p50_ms.append(_milliseconds("50%", output))
    row.p99_ms.append(_milliseconds("99%", output))
    time.sleep(0.3)
    row.redis_micros.append((processes.cpu_seconds(valkey.pid) - redis_cpu) / requests * 1e6)
    client = valkey.client()
    entries = sum(int(client.xlen(keys.events(shard))) for shard in range(4))
    if entries and row.name.startswith("edge"):
        row.batch.append(requests / entries)
        memory = sum(int(client.memory_usage(keys.events(shard), samples=0) or 0) for shard in range(4))
        row.bytes_in_stream.append(memory / requests)
    client.delete("bench:events", *(keys.events(shard) for shard in range(4)))
    client.close()


def _figure(pattern: str, text: str) -> float:
    found = re.search(pattern, text)
    if found is None:
        raise RuntimeError(text)
    return float(found[1])


def _milliseconds(share: str, text: str) -> float:
    found = re.search(rf"^ +{share} +([\d.]+)(us|ms|s)", text, re.MULTILINE)
    if found is None:
        raise RuntimeError(text)
    return float(found[1]) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[found[2]]


def print_table(rows: list[Row]) -> None:
    """One line a contender, medians, with its ratios to the first of each sort of peer."""
    by_name = {row.name: median(row.micros) for row in rows}
    print(f"{'':24}{'us CPU':>8}{'min-max':>14}{'req/s':>9}{'p50 ms':>8}{'p99 ms':>8}", end="")
    print(f"{'x log':>7}{'x Lua':>7}{'x bare':>8}{'redis us':>10}{'batch':>7}{'bytes':>7}")
    for row in rows:
        log = f"{LOG}, close" if row.name.endswith("close") else LOG
        ratios = [by_name[row.name] / by_name[name] if name in by_name else None for name in (log, LUA, BARE)]
        spread = f"{min(row.micros):.1f}-{max(row.micros):.1f}"
        print(f"{row.name:24}{median(row.micros):8.1f}{spread:>14}{median(row.rate):9.0f}", end="")
        print(f"{median(row.p50_ms):8.2f}{median(row.p99_ms):8.2f}", end="")
        for ratio, width in zip(ratios, (7, 7, 8), strict=True):
            print(f"{ratio:{width}.2f}" if ratio is not None else " " * width, end="")
        events = row.batch or row.name == LUA
        print(f"{median(row.redis_micros):10.2f}" if events else " " * 10, end="")
        print(f"{median(row.batch):7.1f}{median(row.bytes_in_stream):7.0f}" if row.batch else "")
    print("where it goes, us CPU a request, medians:")
    for row in rows:
        parts = (f"{name} {median(part[name] for part in row.parts):.1f}" for name in row.parts[0])
        print(f"  {row.name:24}{', '.join(parts)}")


def write(rows: list[Row], options: dict[str, Any]) -> None:
    """Writes `bench-results/latest.json`; what was there becomes `previous.json`."""
    RESULTS.mkdir(exist_ok=True)
    latest = RESULTS / "latest.json"
    if latest.exists():
        latest.replace(RESULTS / "previous.json")
    machine = {"cpus": os.cpu_count(), "machine": platform.machine(), "kernel": platform.release()}
    machine["python"] = platform.python_version()
    content = {"machine": machine, "options": options, "rows": [asdict(row) for row in rows]}
    latest.write_text(json.dumps(content, indent=1) + "\n")
    print(f"written to {latest.relative_to(RESULTS.parent)}")


def compare() -> int:
    """Prints the last two results side by side, CPU a request and its ratio to the nginx log line."""
    try:
        then, now = (json.loads((RESULTS / f"{name}.json").read_text())["rows"] for name in ("previous", "latest"))
    except FileNotFoundError as error:
        print(f"nothing to compare: {error.filename} is missing; run `make bench` twice")
        return 2
    before, after = ({row["name"]: median(row["micros"]) for row in rows} for rows in (then, now))
    print(f"{'':24}{'before':>8}{'after':>8}{'change':>8}{'x log before':>14}{'x log after':>13}")
    for name in after:
        if name in before:
            change = f"{(after[name] / before[name] - 1) * 100:+.0f} %"
            ratios = [f"{side[name] / side[LOG]:.2f}" if LOG in side else "" for side in (before, after)]
            print(f"{name:24}{before[name]:8.1f}{after[name]:8.1f}{change:>8}{ratios[0]:>14}{ratios[1]:>13}")
    return 0
