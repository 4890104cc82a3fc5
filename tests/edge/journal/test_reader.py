"""The journal file, read: what is in it is there for whoever comes next, and for one at a time."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from onebyone.edge.journal import reader
from onebyone.edge.journal.reader import JournalReader
from tests.support.journals import PRODUCER, filled
from tests.support.leaks import held


def adopted(directory: Path) -> JournalReader:
    (one,) = JournalReader.adopt_abandoned(directory, set())
    return one


def test_rows_come_back_in_order(tmp_path: Path) -> None:
    filled(tmp_path, 5).close()
    read = adopted(tmp_path)
    assert [(row.seq, row.events, row.payload) for row in read.rows_after(2, 2)] == [
        (3, 10, b"payload 3"),
        (4, 10, b"payload 4"),
    ]
    assert (read.shard, read.oldest_seq(), read.newest_seq()) == (3, 1, 5)
    read.close()


def test_when_the_next_one_was_written(tmp_path: Path) -> None:
    filled(tmp_path, 2).close()
    read = adopted(tmp_path)
    assert read.first_written_ms_after(1) == read.rows_after(1, 1)[0].written_ms
    assert read.first_written_ms_after(2) is None
    read.close()


def test_an_empty_journal_begins_with_one_and_has_nothing(tmp_path: Path) -> None:
    filled(tmp_path, 0).close()
    read = adopted(tmp_path)
    assert (read.oldest_seq(), read.newest_seq(), read.rows_after(0, 10)) == (1, 0, [])
    read.close()


def test_its_size_is_that_of_its_files(tmp_path: Path) -> None:
    filled(tmp_path, 3).close()
    read = adopted(tmp_path)
    files = [path for path in tmp_path.iterdir() if path.name.endswith((".sqlite3", "-wal"))]
    assert read.size_bytes() == sum(path.stat().st_size for path in files) > 0
    read.close()


def test_a_journal_of_a_living_process_is_not_abandoned(tmp_path: Path) -> None:
    made = filled(tmp_path, 1)
    assert list(JournalReader.adopt_abandoned(tmp_path, set())) == []
    made.close()


def test_an_abandoned_journal_is_adopted_once_with_all_it_holds(tmp_path: Path) -> None:
    filled(tmp_path, 3).close()
    before = held()
    read = adopted(tmp_path)
    assert (read.producer, read.shard, read.oldest_seq(), read.newest_seq()) == (PRODUCER, 3, 1, 3)
    assert list(JournalReader.adopt_abandoned(tmp_path, set())) == []
    read.delete()
    assert held() == before
    assert list(tmp_path.iterdir()) == []


def test_leftovers_without_a_commit_are_cleared_away(tmp_path: Path) -> None:
    (tmp_path / "00000000000000bb.lock").touch()
    (tmp_path / "00000000000000cc.lock").touch()
    (tmp_path / "00000000000000cc.sqlite3").touch()
    assert list(JournalReader.adopt_abandoned(tmp_path, set())) == []
    assert list(tmp_path.iterdir()) == []


def test_a_broken_file_is_set_aside_whole_and_the_others_go_on(tmp_path: Path) -> None:
    filled(tmp_path, 1).close()
    (tmp_path / "0000000000000001.lock").touch()
    (tmp_path / "0000000000000001.sqlite3").write_bytes(b"not a database" * 1000)
    (tmp_path / "0000000000000001.sqlite3-wal").write_bytes(b"something to rescue")
    read = adopted(tmp_path)
    assert read.producer == PRODUCER
    read.close()
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
        patched.setattr(reader, "_has_schema", refuse)
        assert list(JournalReader.adopt_abandoned(tmp_path, set())) == []
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    read = adopted(tmp_path)
    assert (read.oldest_seq(), read.newest_seq()) == (1, 3)
    read.close()


def test_a_journal_without_its_lock_file_is_adopted(tmp_path: Path) -> None:
    filled(tmp_path, 2).close()
    (tmp_path / f"{PRODUCER}.lock").unlink()
    read = adopted(tmp_path)
    assert (read.oldest_seq(), read.newest_seq()) == (1, 2)
    read.close()
