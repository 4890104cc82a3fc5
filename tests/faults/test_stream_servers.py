"""The stream server is killed, emptied, full, frozen, evicts, denies a command, or is replaced by a replica."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import time
from pathlib import Path

import pytest
import redis

from tests.faults.conftest import Experiment
from tests.faults.means import processes
from tests.faults.means.proxy import Proxy
from tests.faults.oracle import HTTP, Oracle
from tests.faults.verdicts import fault
from tests.support.ports import free_port
from tests.support.valkey import ValkeyProcess, start_valkey
from tests.support.waiting import wait_until

slow = pytest.mark.faults
pytestmark = pytest.mark.timeout(1200)


@pytest.mark.parametrize(
    "sync",
    [
        pytest.param(
            sync, marks=[slow, fault(3, f"kill -9 of the stream server, AOF {sync}, 4 times", means="SIGKILL")]
        )
        for sync in ("everysec", "always")
    ],
)
def test_stream_server_is_killed(experiment: Experiment, sync: str) -> None:
    with experiment() as oracle:
        for _ in oracle.rounds():
            for _ in range(4):
                with processes.embedded(oracle.product) as client:
                    client.config_set("appendfsync", sync)
                time.sleep(oracle.random.uniform(0.2, 1))
                processes.kill(oracle.product, "valkey")
                wait_until(lambda: oracle.product.pids("valkey"), "it is started again", every=0.02)
                wait_until(lambda: processes.answers(oracle.product), "it answers")


@fault(4, "stream server comes back without its data", means="SIGKILL, append-only folder deleted")
def test_stream_server_loses_its_data(experiment: Experiment) -> None:
    with experiment() as oracle:
        for _ in oracle.rounds():
            time.sleep(oracle.random.uniform(0, 1))
            os.kill(oracle.product.pid, signal.SIGSTOP)
            (pid,) = oracle.product.pids("valkey")
            processes.kill(oracle.product, "valkey")
            processes.wait_gone([pid], "it is dead")
            shutil.rmtree(oracle.product.data_dir / "valkey" / "appendonlydir")
            os.kill(oracle.product.pid, signal.SIGCONT)
            time.sleep(1)


@fault(5, "stream server out of memory", means="CONFIG SET maxmemory below what it holds, counter stopped")
def test_stream_server_is_out_of_memory(experiment: Experiment) -> None:
    with experiment() as oracle:
        for _ in oracle.rounds():
            time.sleep(2)
            healthy = oracle.seconds_to_answer(time.monotonic() - 2)
            with processes.embedded(oracle.product) as client, processes.frozen(oracle.product, "counter"):
                (most,) = client.config_get("maxmemory").values()
                client.config_set("maxmemory", "1mb")
                began = time.monotonic()
                wait_until(lambda: _status(oracle, "sinkz") == 503, "the sink is red")
                assert _status(oracle, "readyz") == 200
                time.sleep(2)
                assert oracle.seconds_to_answer(began) < 20 * healthy
                client.config_set("maxmemory", most)


@slow
@fault(6, "stream server that may evict", means="maxmemory-policy allkeys-lru at a start; then noeviction", broken=True)
def test_evicting_stream_server_is_refused_at_start(experiment: Experiment, stream: ValkeyProcess) -> None:
    with experiment(stream_url=stream.url) as oracle, stream.client() as client:
        for _ in oracle.rounds():
            oracle.product.terminate()
            client.config_set("maxmemory-policy", "allkeys-lru")
            # Edges and API may become ready before the counter refuses, which then ends the product.
            with contextlib.suppress(AssertionError):
                oracle.product.start()
            assert oracle.product.ended() != 0
            assert "must be noeviction" in oracle.product.output()
            client.config_set("maxmemory-policy", "noeviction")
            oracle.product.start()


@slow
@fault(6, "stream server made to evict while it runs", means="CONFIG SET allkeys-random and a small maxmemory, 4 s")
def test_running_stream_server_evicts(experiment: Experiment, stream: ValkeyProcess, cache: ValkeyProcess) -> None:
    with experiment(stream_url=stream.url, cache_url=cache.url) as oracle, stream.client() as client:
        for _ in oracle.rounds():
            with processes.frozen(oracle.product, "counter"):
                time.sleep(2)
                before = _evicted(client)
                client.config_set("maxmemory-policy", "allkeys-random")
                client.config_set("maxmemory", "1mb")
                wait_until(lambda before=before: _evicted(client) > before, "it has evicted keys")  # type: ignore[misc]
                time.sleep(2)
            client.config_set("maxmemory", "0")
            client.config_set("maxmemory-policy", "noeviction")


@slow
@fault(7, "stream server does not answer, 60 s", means="SIGSTOP")
def test_stream_server_stops_answering(experiment: Experiment, cache: ValkeyProcess) -> None:
    with experiment(cache_url=cache.url) as oracle:
        for _ in oracle.rounds():
            pids = oracle.product.pids("edge") + oracle.product.pids("counter")
            before = [(processes.descriptors(pid), processes.threads(pid)) for pid in pids]
            with processes.frozen(oracle.product, "valkey"):
                time.sleep(60)
                after = [(processes.descriptors(pid), processes.threads(pid)) for pid in pids]
            grown = [(files - was, more - had) for (files, more), (was, had) in zip(after, before, strict=True)]
            assert all(files <= 16 and more <= 4 for files, more in grown), grown


@fault(10, "FLUSHALL on the server of cache and stream, 3 times", means="FLUSHALL at random moments")
def test_shared_server_of_cache_and_stream_is_flushed(experiment: Experiment) -> None:
    with experiment() as oracle:
        for _ in oracle.rounds():
            for _ in range(3):
                with processes.embedded(oracle.product) as client:
                    client.flushall()
                time.sleep(oracle.random.uniform(0.3, 1.5))


@slow
@fault(
    10, "FLUSHALL on a stream server with its own user, 3 times", means="ACL: the product's user may not, another does"
)
def test_product_user_may_not_flush(experiment: Experiment, stream: ValkeyProcess, cache: ValkeyProcess) -> None:
    rules = ["on", ">secret", "~onebyone:*", "+@all", "-@admin", "-@dangerous", "+config|get"]
    with stream.client() as admin:
        admin.execute_command("ACL", "SETUSER", "product", *rules)
        url = stream.url.replace("unix://", "unix://product:secret@")
        with experiment(stream_url=url, cache_url=cache.url) as oracle:
            for _ in oracle.rounds():
                with redis.Redis.from_url(url, protocol=2) as own, pytest.raises(redis.exceptions.NoPermissionError):
                    own.flushall()
                for _ in range(3):
                    # The server's users are not data: FLUSHALL keeps them.
                    admin.flushall()
                    time.sleep(oracle.random.uniform(0.3, 1.5))


@slow
@fault(
    24, "failover to a replica that lacks the newest entries, and back", means="SIGKILL, REPLICAOF NO ONE, one address"
)
def test_stream_server_fails_over(experiment: Experiment, tmp_path: Path, cache: ValkeyProcess) -> None:
    ports = (free_port(), free_port())
    servers = [
        start_valkey(tmp_path / f"server-{port}", "--port", str(port), "--bind", "127.0.0.1", *more)
        for port, more in ((ports[0], ()), (ports[1], ("--replicaof", f"127.0.0.1 {ports[0]}")))
    ]
    address = Proxy(servers[0].socket_path)
    try:
        with experiment(stream_url=address.url, cache_url=cache.url) as oracle:
            for _ in oracle.rounds():
                old, new = servers
                for port in ports:
                    wait_until(lambda new=new: _in_step(new), "the replica is in step", 60)  # type: ignore[misc]
                    time.sleep(oracle.random.uniform(0.2, 1))
                    with new.client() as client:
                        client.execute_command("REPLICAOF", "NO", "ONE")
                    # Entries that the old server acknowledges in this time are lost with it.
                    time.sleep(oracle.random.uniform(0.3, 1))
                    old.kill()
                    address.target = new.socket_path
                    address.cut()
                    time.sleep(oracle.random.uniform(0.2, 1))
                    shutil.rmtree(old.directory)
                    old.directory.mkdir()
                    old.start()
                    with old.client() as client:
                        client.execute_command(
                            "REPLICAOF", "127.0.0.1", str(ports[1] if port == ports[0] else ports[0])
                        )
                    old, new = new, old
    finally:
        address.close()
        for server in servers:
            server.remove()


def _status(oracle: Oracle, page: str) -> int:
    return HTTP.get(f"{oracle.product.edge_url}/{page}").status_code


def _evicted(client: redis.Redis) -> int:
    return int(client.info("stats")["evicted_keys"])


def _in_step(server: ValkeyProcess) -> bool:
    with server.client() as client:
        about = client.info("replication")
        return bool(about["role"] == "slave" and about["master_link_status"] == "up")
