"""Whether the disk takes data, tested without traffic, and what `/readyz` says when it does not."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from onebyone.edge.journal import disk_probe, health, writer
from onebyone.edge.journal.disk_probe import DiskProbe, describe
from tests.edge.journal.group_commits import FaultyJournal, Recorded, sqlite_error, submit
from tests.edge.journal.held_disk import HeldDisk
from tests.support.waiting import eventually, wait_until

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk_probe, "PROBE_SECONDS", 0.02)
    monkeypatch.setattr(disk_probe, "RETRY_SECONDS", 0.02)
    monkeypatch.setattr(health, "PROBE_SECONDS", 0.0)
    monkeypatch.setattr(health, "RETRY_SECONDS", 0.02)
    monkeypatch.setattr(health, "HUNG_SECONDS", 0.2)


@pytest.fixture
def probe(tmp_path: Path) -> Iterator[DiskProbe]:
    probe = DiskProbe(tmp_path, lambda: False)
    yield probe
    with contextlib.suppress(RuntimeError):
        # A test may not have started it.
        probe.stop()


def fails_with(number: int) -> Callable[..., Any]:
    def fail(*_: Any) -> None:
        raise OSError(number, os.strerror(number), "/secret/path")

    return fail


@pytest.mark.parametrize("call", ["posix_fallocate", "pwrite", "fsync", "ftruncate"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO])
async def test_a_disk_that_refuses_is_noticed_and_so_is_its_return(
    probe: DiskProbe, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    commits = Recorded().group_commit(None)
    with monkeypatch.context() as patch:
        patch.setattr(os, call, fails_with(number))
        probe.start()
        await eventually(lambda: probe.error == os.strerror(number), "the error is noticed")
        assert health.recording_problem(commits, probe).endswith(os.strerror(number))
    await eventually(lambda: not probe.error, "the return is noticed")


def test_a_folder_that_is_missing_is_noticed(probe: DiskProbe, tmp_path: Path) -> None:
    tmp_path.rmdir()
    probe.start()
    wait_until(lambda: probe.error == os.strerror(errno.ENOENT), "noticed")
    tmp_path.mkdir()
    wait_until(lambda: not probe.error, "it is back")
    assert list(tmp_path.iterdir()) == [], "a test leaves no file, not even after SIGKILL"


@pytest.mark.parametrize("number", [errno.EOPNOTSUPP, errno.EINVAL])
async def test_a_file_system_that_cannot_reserve_space(
    probe: DiskProbe, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    written: list[int] = []
    write = os.pwrite
    monkeypatch.setattr(os, "posix_fallocate", fails_with(number))

    def note_and_write(fd: int, data: bytes, at: int) -> int:
        written.append(len(data))
        return write(fd, data, at)

    monkeypatch.setattr(os, "pwrite", note_and_write)
    probe.start()
    await eventually(lambda: bool(written) and not probe.error, "the room is written instead")
    assert set(written) == {disk_probe.ROOM_BYTES}


async def test_a_refused_batch_counts_until_a_later_test_passes(journal: FaultyJournal, probe: DiskProbe) -> None:
    commits = Recorded().group_commit(journal)
    assert health.recording_problem(commits, probe) == ""
    journal.error = sqlite_error(sqlite3.SQLITE_FULL, "SQLITE_FULL")
    assert await submit(commits, b"lost") is False
    assert health.recording_problem(commits, probe).startswith("the journal refused the last events: ")
    probe.start()
    await eventually(lambda: not health.recording_problem(commits, probe), "a test has passed, without an event")
    journal.error = None
    assert await submit(commits, b"kept") is True
    await commits.close()


async def test_a_recorded_event_proves_more_than_a_test(
    journal: FaultyJournal, probe: DiskProbe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "PROBE_SECONDS", 60.0)
    commits = Recorded().group_commit(journal)
    probe.error = "Disk quota exceeded"
    assert health.recording_problem(commits, probe) == "the disk of the journals takes no data: Disk quota exceeded"
    assert await submit(commits, b"kept") is True
    assert health.recording_problem(commits, probe) == ""
    journal.error = sqlite_error(sqlite3.SQLITE_FULL, "SQLITE_FULL")
    assert await submit(commits, b"lost") is False
    assert health.recording_problem(commits, probe)
    await commits.close()


async def test_a_disk_that_hangs_under_an_event(journal: FaultyJournal, disk: HeldDisk, probe: DiskProbe) -> None:
    commits = Recorded().group_commit(journal)
    disk.hang()
    waiting = submit(commits, b"a")
    await eventually(lambda: "has not answered for" in health.recording_problem(commits, probe), "the hang is noticed")
    disk.resume()
    assert await waiting is True
    assert health.recording_problem(commits, probe) == ""
    await commits.close()


async def test_a_disk_that_hangs_without_an_event(
    journal: FaultyJournal, probe: DiskProbe, monkeypatch: pytest.MonkeyPatch
) -> None:
    commits = Recorded().group_commit(journal)
    answers = threading.Event()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", lambda fd: answers.wait(20))
        probe.start()
        await eventually(lambda: "has not answered for" in health.recording_problem(commits, probe), "noticed")
    answers.set()
    await eventually(lambda: not health.recording_problem(commits, probe), "it answers again")
    await commits.close()


@pytest.mark.parametrize("damage", ["folder deleted", "folder moved", "file deleted", "WAL deleted", "file replaced"])
async def test_a_journal_whose_files_are_gone_refuses_events(tmp_path: Path, probe: DiskProbe, damage: str) -> None:
    folder = tmp_path / "journal"
    journal = writer.create_journal(folder, 4)
    recorded = Recorded()
    commits = recorded.group_commit(journal)
    probe.watch(journal.is_gone)
    probe.start()
    assert await submit(commits, b"kept") is True
    assert not journal.is_gone()
    # The shipper has read from it before, and so has its files open.
    assert journal.oldest_seq() == 1
    path = folder / f"{journal.producer}.sqlite3"
    match damage:
        case "folder deleted":
            shutil.rmtree(folder)
        case "folder moved":
            folder.rename(tmp_path / "elsewhere")
        case "file deleted":
            path.unlink()
        case "WAL deleted":
            path.with_name(f"{path.name}-wal").unlink()
        case _:
            path.rename(tmp_path / "aside")
            path.write_bytes((tmp_path / "aside").read_bytes())
    await eventually(lambda: "deleted or moved" in health.recording_problem(commits, probe), "noticed")
    commits.refuse_all()
    assert await submit(commits, b"would be lost in a crash") is False
    assert [row.seq for row in journal.rows_after(0, 9)] == [1], "what it held can still be shipped"
    await commits.close()
    assert recorded.failures == [(1, False)]
    journal.close()


def test_words_name_no_file() -> None:
    assert describe(OSError(errno.ENOSPC, "No space left on device", "/data/journal/x")) == "No space left on device"
    assert describe(sqlite3.OperationalError("database or disk is full")) == "database or disk is full"
    assert describe(RuntimeError("/data")) == "RuntimeError"
