"""The journal file: what is appended is there for whoever comes next; what is forgotten is gone."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest

from onebyone.edge import journal
from onebyone.edge.journal import DELETE_STEP, Journal

FAR = 2**62


def filled(directory: Path, count: int) -> Journal:
    made = Journal.create(directory, "00000000000000aa", 3)
    for seq in range(1, count + 1):
        made.append(seq, 10, b"payload %d" % seq)
    return made


def test_rows_come_back_in_order(tmp_path: Path) -> None:
    made = filled(tmp_path, 5)
    assert [(row.seq, row.events, row.payload) for row in made.after(2, 2)] == [
        (3, 10, b"payload 3"),
        (4, 10, b"payload 4"),
    ]
    assert (made.shard, made.bounds()) == (3, (1, 5))
    made.close()


def test_an_empty_journal_has_empty_bounds(tmp_path: Path) -> None:
    made = filled(tmp_path, 0)
    assert made.bounds() == (1, 0)
    assert made.after(0, 10) == []
    made.close()


def test_a_seq_is_written_once(tmp_path: Path) -> None:
    made = filled(tmp_path, 2)
    with pytest.raises(sqlite3.IntegrityError):
        made.append(2, 1, b"again")
    made.append(3, 1, b"next")
    assert made.bounds() == (1, 3)
    made.close()


def test_forgetting_goes_in_steps_with_the_appends_and_spares_the_newest(tmp_path: Path) -> None:
    made = filled(tmp_path, DELETE_STEP + 10)
    made.may_forget(DELETE_STEP + 10, FAR)
    made.append(DELETE_STEP + 11, 1, b"more")
    assert made.bounds() == (DELETE_STEP + 1, DELETE_STEP + 11)
    made.append(DELETE_STEP + 12, 1, b"more")
    assert made.bounds() == (DELETE_STEP + 10, DELETE_STEP + 12)
    made.close()


def test_only_what_is_committed_goes(tmp_path: Path) -> None:
    made = filled(tmp_path, 5)
    made.may_forget(3, FAR)
    made.append(6, 1, b"more")
    assert made.bounds() == (4, 6)
    made.close()


def test_the_overlap_is_kept(tmp_path: Path) -> None:
    made = filled(tmp_path, 3)
    made.may_forget(3, written_before_ms=0)
    made.append(4, 1, b"more")
    assert made.bounds() == (1, 4)
    made.close()


def test_a_journal_of_a_living_process_is_not_abandoned(tmp_path: Path) -> None:
    made = filled(tmp_path, 1)
    assert list(Journal.abandoned(tmp_path, set())) == []
    made.close()


def test_an_abandoned_journal_is_adopted_once_with_all_it_holds(tmp_path: Path) -> None:
    filled(tmp_path, 3).close()
    (adopted,) = Journal.abandoned(tmp_path, set())
    assert (adopted.producer, adopted.shard, adopted.bounds()) == ("00000000000000aa", 3, (1, 3))
    assert list(Journal.abandoned(tmp_path, set())) == []
    adopted.delete()
    assert list(tmp_path.iterdir()) == []


def test_leftovers_without_a_commit_are_cleared_away(tmp_path: Path) -> None:
    (tmp_path / "00000000000000bb.lock").touch()
    (tmp_path / "00000000000000cc.lock").touch()
    (tmp_path / "00000000000000cc.sqlite3").touch()
    assert list(Journal.abandoned(tmp_path, set())) == []
    assert list(tmp_path.iterdir()) == []


def test_a_broken_file_is_set_aside_whole_and_the_others_go_on(tmp_path: Path) -> None:
    filled(tmp_path, 1).close()
    (tmp_path / "0000000000000001.lock").touch()
    (tmp_path / "0000000000000001.sqlite3").write_bytes(b"not a database" * 1000)
    (tmp_path / "0000000000000001.sqlite3-wal").write_bytes(b"something to rescue")
    (adopted,) = Journal.abandoned(tmp_path, set())
    assert adopted.producer == "00000000000000aa"
    adopted.close()
    assert (tmp_path / "0000000000000001.sqlite3.corrupt").exists()
    assert (tmp_path / "0000000000000001.sqlite3-wal.corrupt").read_bytes() == b"something to rescue"


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (sqlite3.SQLITE_BUSY, "database is locked"),
        (sqlite3.SQLITE_CANTOPEN, "unable to open database file"),
        (sqlite3.SQLITE_FULL, "database or disk is full"),
        (sqlite3.SQLITE_IOERR, "disk I/O error"),
    ],
    ids=["locked", "no descriptors", "full", "input output error"],
)
def test_a_file_that_cannot_be_opened_now_waits_untouched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, text: str
) -> None:
    filled(tmp_path, 3).close()
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def refuse(_: Path) -> bool:
        error = sqlite3.OperationalError(text)
        error.sqlite_errorcode = code
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(journal, "_has_schema", refuse)
        assert list(Journal.abandoned(tmp_path, set())) == []
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    (adopted,) = Journal.abandoned(tmp_path, set())
    assert adopted.bounds() == (1, 3)
    adopted.close()


def test_a_journal_without_its_lock_file_is_adopted(tmp_path: Path) -> None:
    filled(tmp_path, 2).close()
    (tmp_path / "00000000000000aa.lock").unlink()
    (adopted,) = Journal.abandoned(tmp_path, set())
    assert adopted.bounds() == (1, 2)
    adopted.close()


def test_a_new_journal_keeps_its_lock_while_siblings_look_for_abandoned_ones(tmp_path: Path) -> None:
    stopping = threading.Event()

    def scan() -> None:
        while not stopping.is_set():
            for found in Journal.abandoned(tmp_path, set()):
                found.close()

    scanner = threading.Thread(target=scan)
    scanner.start()
    try:
        made = [journal.new(tmp_path, 4) for _ in range(60)]
    finally:
        stopping.set()
        scanner.join()
    for one in made:
        assert (tmp_path / f"{one.producer}.lock").exists()
        with pytest.raises(BlockingIOError):
            journal.Lock(tmp_path / f"{one.producer}.lock")
        one.close()


def test_new_producers_differ(tmp_path: Path) -> None:
    made = [journal.new(tmp_path, 4) for _ in range(3)]
    assert len({one.producer for one in made}) == 3
    for one in made:
        assert one.shard == int(one.producer, 16) % 4
        one.close()
