"""The journal that a process writes: what is begun, what is on disk, what is forgotten, and what a refusal leaves."""

from __future__ import annotations

import errno
import os
import select
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from onebyone.edge.journal import disk_sync, writer
from onebyone.edge.journal.disk_sync import ThreadSync
from onebyone.edge.journal.reader import JournalReader
from onebyone.edge.journal.writer import DELETE_STEP, FORGET_ROWS, JournalWriter
from tests.faults.means.disks import LoopDisk, hanging
from tests.faults.means.disks import filled as filled_up
from tests.support.journals import PRODUCER, filled, wait_ended, write
from tests.support.leaks import held
from tests.support.tiers import starts_processes

FAR = 2**62


def bounds(own: JournalReader) -> tuple[int, int]:
    return own.oldest_seq(), own.newest_seq()


@pytest.fixture(params=["kernel", "thread"])
def each_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sync in the kernel, and on a thread."""
    if request.param == "thread":
        monkeypatch.setattr(disk_sync, "open_disk_sync", ThreadSync)


@pytest.fixture
@starts_processes
def disk(tmp_path: Path) -> Iterator[LoopDisk]:
    """That of the folder `journal`."""
    made = LoopDisk(tmp_path / "disk", tmp_path / "journal", 64)
    yield made
    made.remove()


@pytest.mark.usefixtures("each_way")
def test_batches_are_numbered_from_one_and_come_back_in_order(tmp_path: Path) -> None:
    own = filled(tmp_path, 5)
    assert [(row.seq, row.events, row.payload) for row in own.rows_after(2, 2)] == [
        (3, 10, b"payload 3"),
        (4, 10, b"payload 4"),
    ]
    assert (own.shard, *bounds(own)) == (3, 1, 5)
    own.close()


def test_a_new_one_is_empty(tmp_path: Path) -> None:
    own = filled(tmp_path, 0)
    assert (*bounds(own), own.rows_after(0, 10), own.poll_synced()) == (1, 0, [], False)
    own.close()


@pytest.mark.usefixtures("each_way")
def test_a_batch_is_seen_when_it_is_on_disk_and_not_before(tmp_path: Path) -> None:
    own = filled(tmp_path, 1)
    own.begin_batch(1, b"under way")
    assert (own.newest_seq(), [row.seq for row in own.rows_after(0, 10)]) == (1, [1])
    assert select.select([own.fd], [], [], 20)[0], "the descriptor says when"
    assert own.newest_seq() == 1, "nobody has asked yet"
    assert own.poll_synced()
    assert (own.newest_seq(), [row.seq for row in own.rows_after(0, 10)]) == (2, [1, 2])
    assert not own.poll_synced()
    own.close()


@pytest.mark.usefixtures("each_way")
def test_what_is_on_disk_is_there_for_a_successor(tmp_path: Path) -> None:
    filled(tmp_path, 3).close()
    (adopted,) = JournalReader.adopt_abandoned(tmp_path, set())
    assert [row.payload for row in adopted.rows_after(0, 10)] == [b"payload 1", b"payload 2", b"payload 3"]
    adopted.delete()
    assert list(tmp_path.iterdir()) == []


def test_the_log_is_applied_and_begun_anew_and_nothing_is_missing(tmp_path: Path) -> None:
    own = JournalWriter.create(tmp_path, PRODUCER, 3)
    log = tmp_path / f"{PRODUCER}.sqlite3-wal"
    same = log.stat().st_ino
    for number in range(40):
        write(own, 1, bytes([number]) * 500_000)
    assert log.stat().st_size < 40 * 500_000
    assert log.stat().st_ino == same, "what is synced is the file that is written"
    assert [row.payload[0] for row in own.rows_after(0, 100)] == list(range(40))
    own.close()


@pytest.mark.usefixtures("each_way")
@pytest.mark.parametrize("count", [0, 1, 9, 10, 11, 12, 30], ids="after {} batches".format)
def test_what_has_ended_outlives_the_power(tmp_path: Path, disk: LoopDisk, count: int) -> None:
    """The log is applied and begun anew at about every tenth batch of this size."""
    own = JournalWriter.create(tmp_path / "journal", PRODUCER, 3)
    for number in range(count):
        write(own, 1, bytes([number]) * 400_000)
    disk.lose_power()
    own.close()
    disk.unmount()
    disk.mount()
    (adopted,) = JournalReader.adopt_abandoned(tmp_path / "journal", set())
    assert adopted.shard == 3
    rows = [(row.seq, row.payload[-1]) for row in adopted.rows_after(0, 100)]
    assert rows == [(seq + 1, seq) for seq in range(count)]
    adopted.close()


@pytest.mark.processes
def test_a_disk_that_hangs_holds_up_the_beginning_at_a_checkpoint_only(tmp_path: Path) -> None:
    held_up = []
    with hanging(tmp_path / "below", tmp_path / "journal", 64) as below:
        own = JournalWriter.create(tmp_path / "journal", PRODUCER, 3)
        for _ in range(15):
            with below.frozen():
                beginning = threading.Thread(target=own.begin_batch, args=(1, bytes(400_000)))
                beginning.start()
                beginning.join(0.5)
                held_up.append(beginning.is_alive())
            beginning.join()
            wait_ended(own)
        own.close()
    assert not any(held_up[:9]), "a thousand pages are not there yet"
    assert sum(held_up) <= 2, "the checkpoint, and the batch with which the log begins anew"


def test_only_the_writer_makes_checkpoints(tmp_path: Path) -> None:
    """SQLite up to 3.51.2 may lose commits when two connections do."""
    own = filled(tmp_path, 3)
    log = (tmp_path / f"{PRODUCER}.sqlite3-wal").read_bytes()
    for _ in range(50):
        own.rows_after(0, 10)
        own.set_deletable(2, FAR)
    main = (tmp_path / f"{PRODUCER}.sqlite3").stat().st_size
    assert (tmp_path / f"{PRODUCER}.sqlite3-wal").read_bytes() == log
    write(own, 1, b"more")
    assert (tmp_path / f"{PRODUCER}.sqlite3").stat().st_size == main
    own.close()


def test_forgetting_goes_in_steps_with_the_batches_and_spares_the_newest(tmp_path: Path) -> None:
    own = filled(tmp_path, DELETE_STEP + 10)
    own.set_deletable(DELETE_STEP + 10, FAR)
    write(own, 1, b"more")
    assert bounds(own) == (DELETE_STEP + 1, DELETE_STEP + 11)
    write(own, 1, b"more")
    assert bounds(own) == (DELETE_STEP + 10, DELETE_STEP + 12)
    own.close()


def test_one_look_for_old_batches_goes_so_far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert FORGET_ROWS >= DELETE_STEP
    monkeypatch.setattr(writer, "FORGET_ROWS", 3)
    own = filled(tmp_path, 10)
    own.set_deletable(10, FAR)
    write(own, 1, b"more")
    assert bounds(own) == (4, 11)
    own.close()


def test_only_what_is_committed_goes(tmp_path: Path) -> None:
    own = filled(tmp_path, 5)
    own.set_deletable(3, FAR)
    write(own, 1, b"more")
    assert bounds(own) == (4, 6)
    own.close()


def test_the_overlap_is_kept(tmp_path: Path) -> None:
    own = filled(tmp_path, 3)
    own.set_deletable(3, written_before_ms=0)
    write(own, 1, b"more")
    assert bounds(own) == (1, 4)
    own.close()


def test_what_is_under_way_is_not_forgotten_and_nor_is_the_one_before(tmp_path: Path) -> None:
    own = filled(tmp_path, 2)
    own.begin_batch(1, b"under way")
    own.set_deletable(3, FAR)
    wait_ended(own)
    write(own, 1, b"more")
    assert bounds(own) == (2, 4)
    own.close()


@pytest.mark.parametrize("forgetting", [False, True], ids=["a row alone", "a row, and old ones go"])
def test_a_full_disk_leaves_no_hole_and_nothing_behind(small_disk: Path, forgetting: bool) -> None:
    own = filled(small_disk, 3)
    if forgetting:
        own.set_deletable(2, FAR)
    with pytest.raises(sqlite3.OperationalError) as refused:
        own.begin_batch(1, bytes(8_000_000))
    assert refused.value.sqlite_errorcode == sqlite3.SQLITE_FULL
    assert not own.poll_synced()
    assert bounds(own) == (1, 3)
    write(own, 1, b"small enough")
    assert [row.seq for row in own.rows_after(0, 10)] == ([3, 4] if forgetting else [1, 2, 3, 4])
    assert own.rows_after(3, 1)[0].payload == b"small enough"
    own.close()


def test_a_sync_that_cannot_begin_leaves_its_batch_unseen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk_sync, "open_disk_sync", ThreadSync)
    own = filled(tmp_path, 1)

    def refuse(_: ThreadSync) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(ThreadSync, "start", refuse)
    with pytest.raises(OSError, match="Input/output error"):
        own.begin_batch(1, b"in doubt")
    assert not own.poll_synced()
    assert (own.newest_seq(), len(own.rows_after(0, 10))) == (1, 1)
    own.close()


def test_new_producers_differ(tmp_path: Path) -> None:
    made = [writer.create_journal(tmp_path, 4) for _ in range(3)]
    assert len({one.producer for one in made}) == 3
    for one in made:
        assert one.shard == int(one.producer, 16) % 4
        one.close()


@pytest.mark.usefixtures("each_way")
def test_a_closed_one_holds_nothing(tmp_path: Path) -> None:
    before = held()
    own = filled(tmp_path, 2)
    assert held() != before
    own.close()
    assert held() == before


def no_room_for_the_file(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(writer, "_SCHEMA", "this is no SQL")


def no_sync_of_the_file(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(disk_sync, "open_disk_sync", _refuse)


def no_sync_of_the_folder(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(writer, "_sync_directory", _refuse)


def _refuse(_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize(
    "refuse",
    [
        no_room_for_the_file,
        pytest.param(no_sync_of_the_file),
        pytest.param(no_sync_of_the_folder),
    ],
)
def test_one_that_cannot_be_made_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refuse: Callable[[pytest.MonkeyPatch], None]
) -> None:
    before = held()
    with monkeypatch.context() as patched:
        refuse(patched)
        with pytest.raises((OSError, sqlite3.Error)):
            JournalWriter.create(tmp_path, PRODUCER, 3)
    assert held() == before
    assert list(tmp_path.iterdir()) == []
    JournalWriter.create(tmp_path, PRODUCER, 3).close()


def test_one_that_has_no_room_leaves_nothing(small_disk: Path) -> None:
    before = held()
    with filled_up(small_disk), pytest.raises((OSError, sqlite3.Error)):
        JournalWriter.create(small_disk, PRODUCER, 3)
    assert held() == before
    assert list(small_disk.iterdir()) == []
    JournalWriter.create(small_disk, PRODUCER, 3).close()
