"""Writing a journal: what is on disk when, what is deleted when, and what an error leaves."""

from __future__ import annotations

import errno
import os
import select
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from onebyone.clock import DAY_MS, HOUR_MS, now_ms
from onebyone.edge.journal import disk_sync, writer
from onebyone.edge.journal.disk_sync import ThreadSync
from onebyone.edge.journal.reader import JournalReader
from onebyone.edge.journal.writer import DELETE_STEP, SCAN_ROWS, JournalWriter
from tests.faults.means.disks import LoopDisk, hanging
from tests.faults.means.disks import filled as filled_up
from tests.support.journals import PRODUCER, filled, wait_synced, write
from tests.support.leaks import held_resources
from tests.support.tiers import starts_processes

FAR = 2**62


def bounds(journal: JournalReader) -> tuple[int, int]:
    return journal.oldest_seq(), journal.newest_seq()


@pytest.fixture(params=["kernel", "thread"])
def each_sync(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the test with the kernel's sync and with the thread's."""
    if request.param == "thread":
        monkeypatch.setattr(disk_sync, "open_disk_sync", ThreadSync)


@pytest.fixture
@starts_processes
def disk(tmp_path: Path) -> Iterator[LoopDisk]:
    """The disk of the folder `journal`."""
    loop_disk = LoopDisk(tmp_path / "disk", tmp_path / "journal", 64)
    yield loop_disk
    loop_disk.remove()


@pytest.mark.usefixtures("each_sync")
def test_batches_are_numbered_from_one_and_read_in_order(tmp_path: Path) -> None:
    journal = filled(tmp_path, 5)
    assert [(row.seq, row.events, row.payload) for row in journal.rows_after(2, 2)] == [
        (3, 10, b"payload 3"),
        (4, 10, b"payload 4"),
    ]
    assert (journal.shard, *bounds(journal)) == (3, 1, 5)
    journal.close()


def test_a_new_journal_is_empty(tmp_path: Path) -> None:
    journal = filled(tmp_path, 0)
    assert (*bounds(journal), journal.rows_after(0, 10), journal.poll_synced()) == (1, 0, [], False)
    journal.close()


@pytest.mark.usefixtures("each_sync")
def test_a_batch_is_visible_once_it_is_on_disk(tmp_path: Path) -> None:
    journal = filled(tmp_path, 1)
    journal.begin_batch(1, b"in progress")
    assert (journal.newest_seq(), [row.seq for row in journal.rows_after(0, 10)]) == (1, [1])
    assert select.select([journal.fd], [], [], 20)[0], "the descriptor becomes readable"
    assert journal.newest_seq() == 1, "poll_synced has not been called yet"
    assert journal.poll_synced()
    assert (journal.newest_seq(), [row.seq for row in journal.rows_after(0, 10)]) == (2, [1, 2])
    assert not journal.poll_synced()
    journal.close()


@pytest.mark.usefixtures("each_sync")
def test_a_successor_finds_what_is_on_disk(tmp_path: Path) -> None:
    filled(tmp_path, 3).close()
    (adopted,) = JournalReader.adopt_abandoned(tmp_path, set())
    assert [row.payload for row in adopted.rows_after(0, 10)] == [b"payload 1", b"payload 2", b"payload 3"]
    adopted.delete()
    assert list(tmp_path.iterdir()) == []


def test_checkpoints_and_wal_restarts_lose_nothing(tmp_path: Path) -> None:
    journal = JournalWriter.create(tmp_path, PRODUCER, 3)
    wal = tmp_path / f"{PRODUCER}.sqlite3-wal"
    same = wal.stat().st_ino
    for number in range(40):
        write(journal, 1, bytes([number]) * 500_000)
    assert wal.stat().st_size < 40 * 500_000
    assert wal.stat().st_ino == same, "the file that is synced is the one that is written"
    assert [row.payload[0] for row in journal.rows_after(0, 100)] == list(range(40))
    journal.close()


@pytest.mark.usefixtures("each_sync")
@pytest.mark.parametrize("count", [0, 1, 9, 10, 11, 12, 30], ids="after {} batches".format)
def test_a_synced_batch_survives_power_loss(tmp_path: Path, disk: LoopDisk, count: int) -> None:
    """SQLite runs a checkpoint and restarts the WAL at about every tenth batch of this size."""
    journal = JournalWriter.create(tmp_path / "journal", PRODUCER, 3)
    for number in range(count):
        write(journal, 1, bytes([number]) * 400_000)
    disk.lose_power()
    journal.close()
    disk.unmount()
    disk.mount()
    (adopted,) = JournalReader.adopt_abandoned(tmp_path / "journal", set())
    assert adopted.shard == 3
    rows = [(row.seq, row.payload[-1]) for row in adopted.rows_after(0, 100)]
    assert rows == [(seq + 1, seq) for seq in range(count)]
    adopted.close()


@pytest.mark.processes
def test_a_hanging_disk_blocks_begin_batch_only_at_a_checkpoint(tmp_path: Path) -> None:
    blocked = []
    with hanging(tmp_path / "below", tmp_path / "journal", 64) as below:
        journal = JournalWriter.create(tmp_path / "journal", PRODUCER, 3)
        for _ in range(15):
            with below.frozen():
                writing = threading.Thread(target=journal.begin_batch, args=(1, bytes(400_000)))
                writing.start()
                writing.join(0.5)
                blocked.append(writing.is_alive())
            writing.join()
            wait_synced(journal)
        journal.close()
    assert not any(blocked[:9]), "the WAL has not reached a thousand pages yet"
    assert sum(blocked) <= 2, "the checkpoint, and the batch that restarts the WAL"


def test_only_the_writer_runs_checkpoints(tmp_path: Path) -> None:
    """SQLite up to 3.51.2 may lose commits if two connections run checkpoints."""
    journal = filled(tmp_path, 3)
    wal = (tmp_path / f"{PRODUCER}.sqlite3-wal").read_bytes()
    for _ in range(50):
        journal.rows_after(0, 10)
        journal.set_deletable(2, FAR)
    database_bytes = (tmp_path / f"{PRODUCER}.sqlite3").stat().st_size
    assert (tmp_path / f"{PRODUCER}.sqlite3-wal").read_bytes() == wal
    write(journal, 1, b"more")
    assert (tmp_path / f"{PRODUCER}.sqlite3").stat().st_size == database_bytes
    journal.close()


def test_deletion_proceeds_in_steps_and_spares_the_newest(tmp_path: Path) -> None:
    journal = filled(tmp_path, DELETE_STEP + 10)
    journal.set_deletable(DELETE_STEP + 10, FAR)
    write(journal, 1, b"more")
    assert bounds(journal) == (DELETE_STEP + 1, DELETE_STEP + 11)
    write(journal, 1, b"more")
    assert bounds(journal) == (DELETE_STEP + 10, DELETE_STEP + 12)
    journal.close()


def test_one_search_for_deletable_batches_is_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert SCAN_ROWS >= DELETE_STEP
    monkeypatch.setattr(writer, "SCAN_ROWS", 3)
    journal = filled(tmp_path, 10)
    journal.set_deletable(10, FAR)
    write(journal, 1, b"more")
    assert bounds(journal) == (4, 11)
    journal.close()


def test_only_committed_batches_are_deleted(tmp_path: Path) -> None:
    journal = filled(tmp_path, 5)
    journal.set_deletable(3, FAR)
    write(journal, 1, b"more")
    assert bounds(journal) == (4, 6)
    journal.close()


def test_batches_within_the_overlap_are_kept(tmp_path: Path) -> None:
    journal = filled(tmp_path, 3)
    journal.set_deletable(3, written_before_ms=0)
    write(journal, 1, b"more")
    assert bounds(journal) == (1, 4)
    journal.close()


def test_batches_dated_ahead_keep_none_after_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "SCAN_ROWS", 3)
    with monkeypatch.context() as ahead:
        ahead.setattr(writer, "now_ms", lambda: now_ms() + 400 * DAY_MS)
        journal = filled(tmp_path, 5)
    for _ in range(3):
        write(journal, 1, b"right again")
        journal.set_deletable(7, now_ms() - HOUR_MS)
    write(journal, 1, b"more")
    assert bounds(journal) == (6, 9)
    journal.close()


def test_the_batch_in_progress_and_the_one_before_are_kept(tmp_path: Path) -> None:
    journal = filled(tmp_path, 2)
    journal.begin_batch(1, b"in progress")
    journal.set_deletable(3, FAR)
    wait_synced(journal)
    write(journal, 1, b"more")
    assert bounds(journal) == (2, 4)
    journal.close()


@pytest.mark.parametrize("deleting", [False, True], ids=["insert only", "insert and delete"])
def test_a_full_disk_leaves_no_gap_and_no_row(small_disk: Path, deleting: bool) -> None:
    journal = filled(small_disk, 3)
    if deleting:
        journal.set_deletable(2, FAR)
    with pytest.raises(sqlite3.OperationalError) as refused:
        journal.begin_batch(1, bytes(8_000_000))
    assert refused.value.sqlite_errorcode == sqlite3.SQLITE_FULL
    assert not journal.poll_synced()
    assert bounds(journal) == (1, 3)
    write(journal, 1, b"small enough")
    assert [row.seq for row in journal.rows_after(0, 10)] == ([3, 4] if deleting else [1, 2, 3, 4])
    assert journal.rows_after(3, 1)[0].payload == b"small enough"
    journal.close()


def test_a_batch_whose_sync_cannot_start_stays_invisible(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk_sync, "open_disk_sync", ThreadSync)
    journal = filled(tmp_path, 1)

    def refuse(_: ThreadSync) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(ThreadSync, "start", refuse)
    with pytest.raises(OSError, match="Input/output error"):
        journal.begin_batch(1, b"in doubt")
    assert not journal.poll_synced()
    assert (journal.newest_seq(), len(journal.rows_after(0, 10))) == (1, 1)
    journal.close()


def test_each_new_journal_has_another_producer(tmp_path: Path) -> None:
    journals = [writer.create_journal(tmp_path, 4) for _ in range(3)]
    assert len({journal.producer for journal in journals}) == 3
    for journal in journals:
        assert journal.shard == int(journal.producer, 16) % 4
        journal.close()


@pytest.mark.usefixtures("each_sync")
def test_close_releases_everything(tmp_path: Path) -> None:
    before = held_resources()
    journal = filled(tmp_path, 2)
    assert held_resources() != before
    journal.close()
    assert held_resources() == before


def cannot_create_the_file(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(writer, "_SCHEMA", "this is no SQL")


def cannot_sync_the_file(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(disk_sync, "open_disk_sync", _refuse)


def cannot_sync_the_folder(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(writer, "_sync_directory", _refuse)


def _refuse(_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize(
    "refuse",
    [
        cannot_create_the_file,
        cannot_sync_the_file,
        cannot_sync_the_folder,
    ],
)
def test_a_journal_that_cannot_be_created_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refuse: Callable[[pytest.MonkeyPatch], None]
) -> None:
    before = held_resources()
    with monkeypatch.context() as patched:
        refuse(patched)
        with pytest.raises((OSError, sqlite3.Error)):
            JournalWriter.create(tmp_path, PRODUCER, 3)
    assert held_resources() == before
    assert list(tmp_path.iterdir()) == []
    JournalWriter.create(tmp_path, PRODUCER, 3).close()


def test_a_journal_without_space_leaves_nothing(small_disk: Path) -> None:
    before = held_resources()
    with filled_up(small_disk), pytest.raises((OSError, sqlite3.Error)):
        JournalWriter.create(small_disk, PRODUCER, 3)
    assert held_resources() == before
    assert list(small_disk.iterdir()) == []
    JournalWriter.create(small_disk, PRODUCER, 3).close()
