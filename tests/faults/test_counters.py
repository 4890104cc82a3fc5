"""The counter is killed or stopped, cannot read an entry, receives batches twice, or loses its store."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from onebyone.contracts import batches, keys
from tests.faults.backlog import an_hour
from tests.faults.conftest import Experiment
from tests.faults.means import processes
from tests.faults.oracle import HTTP, RATE, Oracle
from tests.faults.verdicts import fault
from tests.support.payloads import payload
from tests.support.postgres import PostgresServer
from tests.support.postgres_programs import require_programs
from tests.support.waiting import wait_until

slow = pytest.mark.faults
pytestmark = pytest.mark.timeout(1200)


@slow
@fault(14, "kill -9 of the counter, 8 times", means="SIGKILL at random moments")
def test_counter_is_killed_repeatedly(experiment: Experiment) -> None:
    with experiment() as oracle:
        for _ in oracle.rounds():
            for _ in range(8):
                time.sleep(oracle.random.uniform(0, 1))
                processes.kill(oracle.product, "counter")


@fault(
    14, "kill -9 of the counter before its commit, twice", means="SIGKILL while SQLite's write lock is held by another"
)
def test_counter_is_killed_before_its_commit(experiment: Experiment) -> None:
    with experiment() as oracle:
        for _ in oracle.rounds():
            for _ in range(2):
                with _write_lock(oracle):
                    before = oracle.archive.committed()
                    time.sleep(1)
                    processes.kill(oracle.product, "counter")
                    assert oracle.archive.committed() == before
                time.sleep(oracle.random.uniform(1, 2))


@fault(
    14,
    "kill -9 of the counter after its commit, before it trims and tells, twice",
    means="SIGKILL while the server's ACL denies the trim",
)
def test_counter_is_killed_between_commit_and_trim(experiment: Experiment) -> None:
    with experiment() as oracle, processes.embedded(oracle.product) as client:
        for _ in oracle.rounds():
            for _ in range(2):
                client.execute_command("ACL", "SETUSER", "default", "-eval")
                wait_until(lambda: _committed_and_kept(oracle, client), "it has committed what it cannot trim")
                processes.kill(oracle.product, "counter")
                client.execute_command("ACL", "SETUSER", "default", "+eval")
                time.sleep(oracle.random.uniform(1, 2))


@slow
@fault(
    15,
    "counter away for an hour of events at full rate",
    means="SIGSTOP 60 s; the rest of the hour as dead edges' journals",
)
def test_counter_is_away_for_an_hour(experiment: Experiment, tmp_path: Path) -> None:
    with experiment() as oracle:
        for _ in oracle.rounds():
            wait_until(lambda: oracle.archive.events() > 20, "one event to copy, among those that are kept uncounted")
            with processes.frozen(oracle.product, "counter"):
                events = an_hour(oracle, tmp_path)
                time.sleep(60)
                with processes.embedded(oracle.product) as client:
                    entries = sum(client.xlen(keys.events_key(shard)) for shard in range(4))
                sink = HTTP.get(f"{oracle.product.api_url}/sinkz").json()
                assert sink["oldest_uncounted_seconds"] > 30
                assert sink["uncounted_batches"] >= entries > 300
                assert all(processes.resident_mb(pid) < 200 for pid in oracle.product.pids("edge"))
                at = oracle.archive.events()
                resumed = time.monotonic()
            wait_until(partial(_has_grown, oracle, at + events), "it has caught up", 180)
            rate = events / (time.monotonic() - resumed)
            print(f"caught up at {rate:,.0f} events a second")
            assert rate > 2 * RATE


@fault(
    16, "poisoned records in the streams", means="XADD of bad JSON, versions, surrogates, 1 MB fields, what is no batch"
)
def test_poisoned_records(experiment: Experiment) -> None:
    with experiment() as oracle:
        for number in oracle.rounds():
            lines = [b"not JSON", b'"v":99', b'"ua":"\\ud800"', b'"ua":"' + b"x" * 1_000_000 + b'"']
            with processes.embedded(oracle.product) as client:
                for shard in range(4):
                    one = batches.Batch(batches.new_producer(), 1, len(lines), payload(lines))
                    client.xadd(keys.events_key(shard), batches.to_entry(one))
                    client.xadd(keys.events_key(shard), {"hello": "world"})
            letters = number * 4 * (len(lines) + 1)
            wait_until(lambda letters=letters: _dead_letters(oracle) == letters, "each poisoned record is kept")  # type: ignore[misc]


@slow
@fault(17, "all batches shipped again", means="every row of every journal sent by another client")
def test_every_batch_is_shipped_twice(experiment: Experiment) -> None:
    with experiment() as oracle:
        for _ in oracle.rounds():
            time.sleep(1)
            with processes.embedded(oracle.product) as client:
                for path in (oracle.product.data_dir / "journal").glob("*.sqlite3"):
                    with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as journal:
                        (shard,) = journal.execute("SELECT shard FROM meta").fetchone()
                        rows = journal.execute("SELECT seq, events, payload FROM batches ORDER BY seq").fetchall()
                    for seq, events, payload in rows:
                        entry: Any = batches.to_entry(batches.Batch(path.stem, seq, events, payload))
                        client.xadd(keys.events_key(shard), entry)


@fault(28, "report store restored from a backup", means="SQLite file replaced by an older copy", broken=True)
def test_report_store_is_restored_from_a_backup(experiment: Experiment, tmp_path: Path) -> None:
    with experiment() as oracle:
        for _ in oracle.rounds():
            path = oracle.product.data_dir / "reports.sqlite3"
            backup = tmp_path / "backup.sqlite3"
            with (
                contextlib.closing(_report_store(oracle)) as live,
                contextlib.closing(sqlite3.connect(backup)) as copy,
            ):
                live.backup(copy)
            time.sleep(2)
            processes.kill(oracle.product, "edge", 1)
            time.sleep(2)
            oracle.product.terminate()
            for file in path.parent.glob("reports.sqlite3*"):
                file.unlink()
            shutil.copy(backup, path)
            oracle.product.start()


@slow
@fault(28, "PostgreSQL crashes and recovers, 3 times", means="pg_ctl stop -m immediate, start")
def test_postgresql_crashes(experiment: Experiment) -> None:
    server = PostgresServer(require_programs())
    try:
        with experiment(database_url=server.fresh_database()) as oracle:
            for _ in oracle.rounds():
                for _ in range(3):
                    time.sleep(oracle.random.uniform(0.5, 2))
                    server.crash()
                    time.sleep(oracle.random.uniform(0, 2))
                    server.start()
    finally:
        server.stop()


def _committed_and_kept(oracle: Oracle, client: Any) -> bool:
    for shard, position in enumerate(oracle.archive.committed()):
        for entry_id, _ in client.xrange(keys.events_key(shard), count=1):
            milliseconds, _, number = entry_id.decode().partition("-")
            if (int(milliseconds), int(number)) <= position:
                return True
    return False


def _has_grown(oracle: Oracle, events: int) -> bool:
    return oracle.archive.events() >= events


def _dead_letters(oracle: Oracle) -> int:
    with contextlib.closing(_report_store(oracle)) as store:
        return int(store.execute("SELECT count(*) FROM dead_letters").fetchone()[0])


def _report_store(oracle: Oracle) -> sqlite3.Connection:
    return sqlite3.connect(oracle.product.data_dir / "reports.sqlite3", timeout=30)


@contextlib.contextmanager
def _write_lock(oracle: Oracle) -> Iterator[None]:
    with contextlib.closing(_report_store(oracle)) as store:
        store.isolation_level = None
        store.execute("BEGIN IMMEDIATE")
        yield
        store.execute("ROLLBACK")
