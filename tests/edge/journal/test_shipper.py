"""The shipper at its end: which journals a stopped process leaves, with a stream server that is away."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from onebyone.clock import DAY_MS, now_ms
from onebyone.contracts import keys
from onebyone.edge.journal import reader, writer
from onebyone.edge.journal.reader import JournalReader
from onebyone.edge.journal.shipper import Shipper
from onebyone.edge.journal.writer import JournalWriter
from onebyone.runtime.file_lock import FileLock
from tests.support.journals import PRODUCER, filled
from tests.support.leaks import held_resources
from tests.support.valkey import ValkeyProcess
from tests.support.waiting import wait_until

OWN = "00000000000000bb"


def started(directory: Path) -> Shipper:
    """Return a running shipper of a process with an unused journal."""
    shipper = Shipper(f"unix://{directory}/no-server", directory, overlap_seconds=1.0)
    shipper.set_own_journal(JournalWriter.create(directory, OWN, 3))
    shipper.start()
    return shipper


def remaining(directory: Path) -> set[str]:
    return {path.stem for path in directory.glob("*.sqlite3")}


def test_an_unused_journal_is_removed_at_the_end(tmp_path: Path) -> None:
    before = held_resources()
    started(tmp_path).stop(0.1)
    assert list(tmp_path.iterdir()) == []
    assert held_resources() == before


def test_a_journal_with_a_batch_stays_and_can_be_adopted(tmp_path: Path) -> None:
    shipper = Shipper(f"unix://{tmp_path}/no-server", tmp_path, overlap_seconds=1.0)
    shipper.set_own_journal(filled(tmp_path, 1))
    shipper.start()
    shipper.stop(0.1)
    assert remaining(tmp_path) == {PRODUCER}
    FileLock(tmp_path / f"{PRODUCER}.lock").release()


@pytest.mark.parametrize(
    ("place", "name", "error"),
    [
        (JournalReader, "is_empty", sqlite3.OperationalError("disk I/O error")),
        (reader, "remove_files", OSError("read-only")),
    ],
    ids=["unreadable", "read-only"],
)
def test_a_failing_disk_keeps_no_journal_locked_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: object, name: str, error: Exception
) -> None:
    def fail(*_: object) -> None:
        raise error

    before = held_resources()
    filled(tmp_path, 1).close()
    shipper = started(tmp_path)
    wait_until(lambda: shipper.backlog.journals == 2, "the other journal is adopted")
    monkeypatch.setattr(place, name, fail)
    shipper.stop(0.1)
    assert held_resources() == before
    assert remaining(tmp_path) == {OWN, PRODUCER}


@pytest.mark.parametrize(("ahead_ms", "left"), [(400 * DAY_MS, set()), (0, {PRODUCER})], ids=["dated ahead", "recent"])
def test_a_counted_journal_of_a_clock_that_was_ahead_is_deleted(
    shared_valkey: ValkeyProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ahead_ms: int, left: set[str]
) -> None:
    with monkeypatch.context() as ahead:
        ahead.setattr(writer, "now_ms", lambda: now_ms() + ahead_ms)
        filled(tmp_path, 1).close()
    client = shared_valkey.client()
    client.hset(keys.progress_key(3), PRODUCER, 1)
    client.close()
    shipper = Shipper(shared_valkey.url, tmp_path, overlap_seconds=3600.0)
    shipper.start()
    wait_until(lambda: _is_settled(shipper, tmp_path, left), "the journal is looked at")
    shipper.stop(0.1)
    assert remaining(tmp_path) == left


def _is_settled(shipper: Shipper, directory: Path, left: set[str]) -> bool:
    backlog = shipper.backlog
    return backlog.stream_accepting and backlog.journals == len(left) and remaining(directory) == left
