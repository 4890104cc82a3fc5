"""Fault experiments against the whole product under a constant load; each ends with the oracle's account.

Those marked `faults` are left to `make faults`. `ONEBYONE_FAULT_REPEATS` repeats each with other seeds.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from onebyone import batches, keys
from tests.faults import means
from tests.faults.oracle import Oracle
from tests.support.product import Product, alive, start_product
from tests.support.valkey import ValkeyProcess, start_valkey
from tests.support.waiting import wait_until

SEEDS = [random.randrange(10**6) for _ in range(int(os.environ.get("ONEBYONE_FAULT_REPEATS", "1")))]
slow = pytest.mark.faults

pytestmark = [pytest.mark.parametrize("seed", SEEDS, ids=lambda _: ""), pytest.mark.timeout(300)]


@contextlib.contextmanager
def experiment(fault: str, tmp_path: Path, seed: int, **settings: object) -> Iterator[Oracle]:
    """A product of its own under load, with two edge workers."""
    product = start_product(tmp_path / "data", **({"workers": 2} | settings))
    try:
        with Oracle(product, fault, seed) as oracle:
            yield oracle
    finally:
        product.stop()


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[ValkeyProcess]:
    """A cache server apart from the stream server."""
    server = start_valkey(tmp_path / "cache")
    yield server
    server.remove()


def test_one_edge_is_killed_again_and_again(tmp_path: Path, seed: int) -> None:
    with experiment("1 kill -9 of one edge, 8 times", tmp_path, seed) as oracle:
        for _ in range(8):
            time.sleep(oracle.random.uniform(0, 0.4))
            means.kill(oracle.product, "edge", 1)
        oracle.settle()


@slow
def test_one_edge_is_killed_fifty_times(tmp_path: Path, seed: int) -> None:
    with experiment("1 kill -9 of one edge, 50 times", tmp_path, seed) as oracle:
        for _ in range(50):
            time.sleep(oracle.random.uniform(0, 0.5))
            means.kill(oracle.product, "edge", 1)
        oracle.settle()


@slow
def test_all_edges_are_killed_at_once(tmp_path: Path, seed: int) -> None:
    with experiment("2 kill -9 of all edges at once, 4 times", tmp_path, seed) as oracle:
        for _ in range(4):
            time.sleep(oracle.random.uniform(0.2, 2))
            means.kill(oracle.product, "edge")
        oracle.settle()


@pytest.mark.parametrize("sync", [pytest.param("everysec", marks=slow), pytest.param("always", marks=slow)])
def test_the_stream_server_is_killed(tmp_path: Path, seed: int, sync: str) -> None:
    with experiment(f"3 kill -9 of the stream server, AOF {sync}", tmp_path, seed) as oracle:
        for _ in range(4):
            with means.embedded(oracle.product) as client:
                client.config_set("appendfsync", sync)
            time.sleep(oracle.random.uniform(0.2, 1))
            means.kill(oracle.product, "valkey")
            wait_until(lambda: oracle.product.pids("valkey"), "it is started again", every=0.02)
            wait_until(lambda: _answers(oracle.product), "it answers")
        oracle.settle(refusals=False)


@slow
def test_the_data_of_the_stream_server_is_deleted(tmp_path: Path, seed: int) -> None:
    with experiment("4 stream server comes back without its data", tmp_path, seed) as oracle:
        os.kill(oracle.product.pid, signal.SIGSTOP)
        (pid,) = oracle.product.pids("valkey")
        means.kill(oracle.product, "valkey")
        wait_until(lambda: not alive(pid), "it is dead")
        shutil.rmtree(oracle.product.data_dir / "valkey" / "appendonlydir")
        os.kill(oracle.product.pid, signal.SIGCONT)
        time.sleep(1)
        oracle.settle()


def test_the_memory_of_the_stream_server_is_full(tmp_path: Path, seed: int) -> None:
    with experiment("5 stream server out of memory", tmp_path, seed) as oracle:
        with means.embedded(oracle.product) as client, means.frozen(oracle.product, "counter"):
            (most,) = client.config_get("maxmemory").values()
            client.config_set("maxmemory", "1mb")
            url = oracle.product.edge_url
            wait_until(lambda: httpx.get(f"{url}/sinkz").status_code == 503, "the sink is red")
            assert httpx.get(f"{url}/readyz").status_code == 200
            time.sleep(1)
            client.config_set("maxmemory", most)
        oracle.settle(refusals=False)


@slow
def test_the_stream_server_stops_answering(tmp_path: Path, seed: int, cache: ValkeyProcess) -> None:
    with experiment("7 SIGSTOP of the stream server, 20 s", tmp_path, seed, cache_url=cache.url) as oracle:
        pids = oracle.product.pids("edge") + oracle.product.pids("counter")
        before = [(means.descriptors(pid), means.threads(pid)) for pid in pids]
        with means.frozen(oracle.product, "valkey"):
            time.sleep(20)
            after = [(means.descriptors(pid), means.threads(pid)) for pid in pids]
        assert all(files - was <= 12 and more <= had for (files, more), (was, had) in zip(after, before, strict=True))
        oracle.settle(refusals=False)


@slow
def test_the_cache_server_stops_answering(tmp_path: Path, seed: int, cache: ValkeyProcess) -> None:
    with experiment("8 SIGSTOP of the cache server, 20 s", tmp_path, seed, cache_url=cache.url) as oracle:
        cache.pause()
        time.sleep(20)
        slowest = max(_seconds(oracle.product.edge_url + "/livez") for _ in range(20))
        cache.resume()
        assert slowest < 1
        oracle.settle(refusals=False)


@slow
def test_the_cache_server_is_flushed(tmp_path: Path, seed: int, cache: ValkeyProcess) -> None:
    with experiment("9 FLUSHALL on the cache server, 3 times", tmp_path, seed, cache_url=cache.url) as oracle:
        for _ in range(3):
            with cache.client() as client:
                client.flushall()
            time.sleep(oracle.random.uniform(0.3, 1.5))
        oracle.settle()


@slow
def test_the_one_server_of_both_is_flushed(tmp_path: Path, seed: int) -> None:
    with experiment("10 FLUSHALL on the stream server, 3 times", tmp_path, seed) as oracle:
        for _ in range(3):
            with means.embedded(oracle.product) as client:
                client.flushall()
            time.sleep(oracle.random.uniform(0.3, 1.5))
        oracle.settle()


@slow
def test_the_journals_disk_is_full(tmp_path: Path, seed: int) -> None:
    folder = tmp_path / "data" / "journal"
    folder.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("cannot mount a small tmpfs")
    try:
        with experiment("11 disk of the journals full, 3 s", tmp_path, seed) as oracle:
            ballast = folder / "ballast"
            with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
                while True:
                    file.write(b"\0" * 4096)
            time.sleep(3)
            ballast.unlink()
            assert oracle.settle().refused > 0
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@slow
def test_a_sync_fails(tmp_path: Path, seed: int) -> None:
    with experiment("12 fsync fails with EIO at one edge", tmp_path, seed) as oracle:
        pid = oracle.product.pids("edge")[0]
        with means.injected([pid], "fsync,fdatasync:error=EIO"):
            wait_until(lambda: not alive(pid), "it goes down rather than believe a failed sync")
        oracle.settle(doubtful=True)


@slow
def test_the_disk_is_slow(tmp_path: Path, seed: int) -> None:
    with experiment("13 each fsync takes 200 ms", tmp_path, seed) as oracle:
        with means.injected(oracle.product.pids("edge"), "fsync,fdatasync:delay_enter=200000"):
            time.sleep(5)
        oracle.settle(refusals=False)


@slow
def test_the_counter_is_killed_again_and_again(tmp_path: Path, seed: int) -> None:
    with experiment("14 kill -9 of the counter, 6 times", tmp_path, seed) as oracle:
        for _ in range(6):
            time.sleep(oracle.random.uniform(0, 1))
            means.kill(oracle.product, "counter")
        oracle.settle(refusals=False)


@slow
def test_the_counter_is_away(tmp_path: Path, seed: int) -> None:
    with experiment("15 counter stopped, 20 s", tmp_path, seed) as oracle:
        with means.frozen(oracle.product, "counter"):
            time.sleep(20)
            sink = httpx.get(f"{oracle.product.api_url}/sinkz").json()
            assert sink["uncounted_batches"] > 20
            assert sink["oldest_uncounted_seconds"] > 15
        assert oracle.settle(refusals=False).seconds < 15


@slow
def test_poisoned_records(tmp_path: Path, seed: int) -> None:
    with experiment("16 poisoned records in the streams", tmp_path, seed) as oracle:
        lines = [b"not JSON", b'{"v":99}', b'{"v":1,"ua":"\\ud800"}', b'{"v":1,"ua":"' + b"x" * 1_000_000 + b'"}']
        with means.embedded(oracle.product) as client:
            for shard in range(4):
                one = batches.Batch(f"{shard:x}" * 16, 1, len(lines), batches.pack(lines))
                client.xadd(keys.events(shard), batches.to_entry(one))
                client.xadd(keys.events(shard), {"hello": "world"})
        oracle.settle(refusals=False)
        with sqlite3.connect(oracle.product.data_dir / "reports.sqlite3", timeout=20) as store:
            assert store.execute("SELECT count(*) FROM dead_letters").fetchone()[0] == 4 * (len(lines) + 1)


@slow
def test_everything_is_shipped_twice(tmp_path: Path, seed: int) -> None:
    with experiment("17 all batches shipped again", tmp_path, seed) as oracle:
        time.sleep(1)
        with means.embedded(oracle.product) as client:
            for path in (oracle.product.data_dir / "journal").glob("*.sqlite3"):
                with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as journal:
                    (shard,) = journal.execute("SELECT shard FROM meta").fetchone()
                    rows = journal.execute("SELECT seq, events, payload FROM batches ORDER BY seq").fetchall()
                for seq, events, payload in rows:
                    entry: Any = batches.to_entry(batches.Batch(path.stem, seq, events, payload))
                    client.xadd(keys.events(shard), entry)
        oracle.settle(refusals=False)


@slow
@pytest.mark.parametrize(("role", "seconds"), [("edge", 3600), ("edge", -3600), ("counter", 3600), ("counter", -3600)])
def test_a_clock_jumps(tmp_path: Path, seed: int, role: str, seconds: int, monkeypatch: pytest.MonkeyPatch) -> None:
    offset = tmp_path / "offset"
    offset.write_text("0")
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(CLOCK.format(role=f"onebyone.{role}", offset=str(offset)))
    monkeypatch.setenv("PYTHONPATH", f"{folder}:{os.environ.get('PYTHONPATH', '')}")
    with experiment(f"18 clock of the {role} jumps by {seconds:+} s", tmp_path, seed) as oracle:
        for jump in (seconds, 0, seconds // 2, seconds):
            offset.write_text(str(jump))
            time.sleep(0.7)
        oracle.settle(refusals=False)


CLOCK = '''"""Makes the clock of one role jump: the wall clock as Python reads it, plus a file's seconds."""
import sys
if {role!r} in sys.orig_argv:
    import time
    real = time.time_ns
    def moved():
        with open({offset!r}) as file:
            return real() + int(file.read() or 0) * 10**9
    time.time_ns = moved
    time.time = lambda: moved() / 1e9
'''


@slow
def test_every_process_is_replaced_under_load(tmp_path: Path, seed: int) -> None:
    with experiment("19 rolling restart (SIGHUP), twice", tmp_path, seed, drain_seconds=1) as oracle:
        for times in (1, 2):
            os.kill(oracle.product.pid, signal.SIGHUP)
            wait_until(lambda times=times: _logged(oracle.product, "rolling restart done") == times, "done", 60)  # type: ignore[misc]
        oracle.settle(refusals=False)


@slow
def test_told_twice_to_stop(tmp_path: Path, seed: int) -> None:
    with experiment("20 SIGTERM twice, then a new start", tmp_path, seed) as oracle:
        os.kill(oracle.product.pid, signal.SIGTERM)
        time.sleep(0.2)
        began = time.monotonic()
        oracle.product.terminate()
        assert time.monotonic() - began < 10
        oracle.product.start()
        oracle.settle()


@slow
def test_edges_start_while_the_api_is_away(tmp_path: Path, seed: int) -> None:
    with experiment("21 cold edges while the API and its store are away", tmp_path, seed) as oracle:
        with means.frozen(oracle.product, "api"):
            means.kill(oracle.product, "edge")
            time.sleep(3)
            path = oracle.path("i0")
            wait_until(lambda: _says(oracle.product, path, "ignored; reason=head"), "new edges know the trackers")
        oracle.settle()


@slow
def test_a_change_is_live_within_a_second(tmp_path: Path, seed: int) -> None:
    with experiment("22 tracker made inactive and active again", tmp_path, seed) as oracle:
        client = oracle.product.client()
        number = oracle.trackers["i"]
        for state, says in (("inactive", "ignored; reason=inactive"), ("active", "ignored; reason=head")):
            client.put("imptracker", number, {"state": state})
            time.sleep(1)
            assert all(_says(oracle.product, oracle.path("i0"), says) for _ in range(20))
        oracle.settle()


@pytest.mark.parametrize("how", [pytest.param(how, marks=slow) for how in ("held", "cut", "slow")])
def test_the_network_to_the_stream_server_fails(tmp_path: Path, seed: int, how: str) -> None:
    stream = start_valkey(tmp_path / "stream")
    proxy = means.Proxy(stream.socket_path)
    try:
        with experiment(f"23 network to the stream server {how}", tmp_path, seed, stream_url=proxy.url) as oracle:
            if how == "held":
                proxy.hold()
                time.sleep(12)
                proxy.release()
            elif how == "cut":
                for _ in range(20):
                    proxy.cut()
                    time.sleep(oracle.random.uniform(0, 0.4))
            else:
                proxy.delay(0.3)
                time.sleep(5)
                proxy.delay(0)
            oracle.settle(refusals=False)
    finally:
        proxy.close()
        stream.remove()


@slow
def test_clients_reset_their_connections(tmp_path: Path, seed: int) -> None:
    with experiment("25 clients reset in mid-request, 500 times", tmp_path, seed) as oracle:
        at = urlsplit(oracle.product.edge_url)
        names = {f"i{number}" for number in range(10**7, 10**7 + 500)}
        for name in sorted(names):
            request = f"GET {oracle.path(name)} HTTP/1.1\r\nHost: a\r\n\r\n".encode()
            means.reset((str(at.hostname), int(at.port or 0)), request, oracle.random.uniform(0, 0.004))
        oracle.settle(also=names, refusals=False)


def test_the_report_store_comes_back_from_a_backup(tmp_path: Path, seed: int) -> None:
    with experiment("28 report store restored from a backup", tmp_path, seed) as oracle:
        path = oracle.product.data_dir / "reports.sqlite3"
        backup = tmp_path / "backup.sqlite3"
        with (
            contextlib.closing(sqlite3.connect(path, timeout=20)) as live,
            contextlib.closing(sqlite3.connect(backup)) as copy,
        ):
            live.backup(copy)
        time.sleep(2)
        means.kill(oracle.product, "edge", 1)
        time.sleep(2)
        oracle.product.terminate()
        for file in path.parent.glob("reports.sqlite3*"):
            file.unlink()
        shutil.copy(backup, path)
        oracle.product.start()
        oracle.settle()


def _answers(product: Product) -> bool:
    with contextlib.suppress(Exception), means.embedded(product) as client:
        return bool(client.ping())
    return False


def _seconds(url: str) -> float:
    began = time.monotonic()
    httpx.get(url, timeout=20)
    return time.monotonic() - began


def _says(product: Product, path: str, text: str) -> bool:
    return bool(httpx.head(product.edge_url + path, timeout=20).headers.get("x-onebyone") == text)


def _logged(product: Product, event: str) -> int:
    return product.stderr.read_text().count(event)
