"""Reading a journal: a successor finds all of it, and only one process at a time owns it."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from onebyone.edge.journal import reader
from onebyone.edge.journal.reader import JournalReader
from tests.support.journals import PRODUCER, filled
from tests.support.leaks import held_resources


def adopt(directory: Path) -> JournalReader:
    (journal,) = JournalReader.adopt_abandoned(directory, set())
    return journal


def test_rows_are_read_in_order(tmp_path: Path) -> None:
    filled(tmp_path, 5).close()
    journal = adopt(tmp_path)
    assert [(row.seq, row.events, row.payload) for row in journal.rows_after(2, 2)] == [
        (3, 10, b"payload 3"),
        (4, 10, b"payload 4"),
    ]
    assert (journal.shard, journal.oldest_seq(), journal.newest_seq()) == (3, 1, 5)
    journal.close()


def test_first_written_ms_after(tmp_path: Path) -> None:
    filled(tmp_path, 2).close()
    journal = adopt(tmp_path)
    assert journal.first_written_ms_after(1) == journal.rows_after(1, 1)[0].written_ms
    assert journal.first_written_ms_after(2) is None
    journal.close()


def test_an_empty_journal(tmp_path: Path) -> None:
    filled(tmp_path, 0).close()
    journal = adopt(tmp_path)
    assert (journal.oldest_seq(), journal.newest_seq(), journal.rows_after(0, 10)) == (1, 0, [])
    journal.close()


def test_size_bytes_counts_database_and_wal(tmp_path: Path) -> None:
    filled(tmp_path, 3).close()
    journal = adopt(tmp_path)
    files = [path for path in tmp_path.iterdir() if path.name.endswith((".sqlite3", "-wal"))]
    assert journal.size_bytes() == sum(path.stat().st_size for path in files) > 0
    journal.close()


def test_the_journal_of_a_living_process_is_not_adopted(tmp_path: Path) -> None:
    journal = filled(tmp_path, 1)
    assert list(JournalReader.adopt_abandoned(tmp_path, set())) == []
    journal.close()


def test_an_abandoned_journal_is_adopted_once_with_all_its_batches(tmp_path: Path) -> None:
    filled(tmp_path, 3).close()
    before = held_resources()
    journal = adopt(tmp_path)
    assert (journal.producer, journal.shard, journal.oldest_seq(), journal.newest_seq()) == (PRODUCER, 3, 1, 3)
    assert list(JournalReader.adopt_abandoned(tmp_path, set())) == []
    journal.delete()
    assert held_resources() == before
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_opened_keeps_no_descriptor(tmp_path: Path) -> None:
    path = tmp_path / "not a database"
    path.write_bytes(b"not a database" * 1000)
    before = held_resources()
    with pytest.raises(sqlite3.DatabaseError) as caught:
        reader.open_database(path)
    assert held_resources() == before, f"the traceback of {caught.value!r} keeps the connection"


def test_files_without_a_commit_are_removed(tmp_path: Path) -> None:
    (tmp_path / "00000000000000bb.lock").touch()
    (tmp_path / "00000000000000cc.lock").touch()
    (tmp_path / "00000000000000cc.sqlite3").touch()
    assert list(JournalReader.adopt_abandoned(tmp_path, set())) == []
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_file_is_set_aside_and_the_others_are_adopted(tmp_path: Path) -> None:
    filled(tmp_path, 1).close()
    (tmp_path / "0000000000000001.lock").touch()
    (tmp_path / "0000000000000001.sqlite3").write_bytes(b"not a database" * 1000)
    (tmp_path / "0000000000000001.sqlite3-wal").write_bytes(b"something to rescue")
    journal = adopt(tmp_path)
    assert journal.producer == PRODUCER
    journal.close()
    assert (tmp_path / "0000000000000001.sqlite3.corrupt").exists()
    assert (tmp_path / "0000000000000001.sqlite3-wal.corrupt").read_bytes() == b"something to rescue"


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (sqlite3.SQLITE_BUSY, "database is locked"),
        (sqlite3.SQLITE_CANTOPEN, "unable to open database file"),
        (sqlite3.SQLITE_FULL, "database or disk is full"),
        (sqlite3.SQLITE_IOERR, "disk I/O error"),
    ],
    ids=["locked", "no descriptors", "full", "input output error"],
)
def test_a_file_that_cannot_be_opened_for_now_is_left_untouched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, message: str
) -> None:
    filled(tmp_path, 3).close()
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def refuse(_: sqlite3.Connection) -> None:
        error = sqlite3.OperationalError(message)
        error.sqlite_errorcode = code
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(reader, "_configure", refuse)
        assert list(JournalReader.adopt_abandoned(tmp_path, set())) == []
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    journal = adopt(tmp_path)
    assert (journal.oldest_seq(), journal.newest_seq()) == (1, 3)
    journal.close()


def test_a_journal_without_its_lock_file_is_adopted(tmp_path: Path) -> None:
    filled(tmp_path, 2).close()
    (tmp_path / f"{PRODUCER}.lock").unlink()
    journal = adopt(tmp_path)
    assert (journal.oldest_seq(), journal.newest_seq()) == (1, 2)
    journal.close()
