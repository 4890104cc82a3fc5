"""A file lock has one holder, and is never held on a file that was removed."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from onebyone.edge.journal import writer
from onebyone.edge.journal.reader import JournalReader
from onebyone.runtime.file_lock import FileLock
from tests.support.leaks import held_resources


def test_one_process_holds_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    first = FileLock(path)
    with pytest.raises(BlockingIOError):
        FileLock(path)
    first.release()
    FileLock(path).release()


def test_a_refused_lock_leaks_no_descriptor(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    first = FileLock(path)
    before = held_resources()
    with pytest.raises(BlockingIOError):
        FileLock(path)
    assert held_resources() == before
    first.release()


def test_a_removed_lock_file_is_created_again(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    gone = FileLock(path)
    path.unlink()
    second = FileLock(path)
    with pytest.raises(BlockingIOError):
        FileLock(path)
    gone.release()
    with pytest.raises(BlockingIOError):
        FileLock(path)
    second.release()


def test_a_new_file_waits_for_a_process_that_scans(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    sibling = FileLock(path)
    leaving = threading.Timer(0.1, sibling.release)
    leaving.start()
    FileLock.of_new_file(path).release()
    leaving.join()


def test_a_new_journal_keeps_its_lock_while_others_scan_for_abandoned_ones(tmp_path: Path) -> None:
    stopping = threading.Event()

    def scan() -> None:
        while not stopping.is_set():
            for found in JournalReader.adopt_abandoned(tmp_path, set()):
                found.close()

    scanner = threading.Thread(target=scan)
    scanner.start()
    try:
        made = [writer.create_journal(tmp_path, 4) for _ in range(60)]
    finally:
        stopping.set()
        scanner.join()
    for one in made:
        assert (tmp_path / f"{one.producer}.lock").exists()
        with pytest.raises(BlockingIOError):
            FileLock(tmp_path / f"{one.producer}.lock")
        one.close()
