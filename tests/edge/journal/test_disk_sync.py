"""Asynchronous syncs, in the kernel and on a thread: they end, notify through a descriptor, and report disk errors."""

from __future__ import annotations

import errno
import os
import platform
import select
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from onebyone.edge.journal import disk_sync
from onebyone.edge.journal.disk_sync import DiskSync, KernelSync, ThreadSync
from tests.faults.means.disks import LoopDisk
from tests.support.leaks import held_resources
from tests.support.tiers import starts_processes

both = pytest.mark.parametrize("kind", [KernelSync, ThreadSync], ids=["kernel", "thread"])

Kind = Callable[[int], DiskSync]


@pytest.fixture
def file(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path / "file", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC)
    yield fd
    os.close(fd)


@pytest.fixture
@starts_processes
def lost_file(tmp_path: Path) -> Iterator[int]:
    """A file with unsynced data on a disk that has lost its power."""
    disk = LoopDisk(tmp_path / "disk", tmp_path / "mounted", 16)
    fd = os.open(tmp_path / "mounted" / "file", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC)
    os.write(fd, b"data")
    disk.lose_power()
    yield fd
    os.close(fd)
    disk.remove()


def becomes_readable(sync: DiskSync, seconds: float) -> bool:
    """Return whether the descriptor becomes readable within that time."""
    return bool(select.select([sync.fd], [], [], seconds)[0])


@both
def test_no_sync_is_done_before_it_is_started(file: int, kind: Kind) -> None:
    sync = kind(file)
    assert not sync.poll_done()
    assert not becomes_readable(sync, 0)
    sync.close()


@both
def test_a_sync_ends_once_and_makes_the_descriptor_readable(file: int, kind: Kind) -> None:
    sync = kind(file)
    os.write(file, b"data")
    sync.start()
    assert becomes_readable(sync, 20)
    assert sync.poll_done()
    assert not sync.poll_done()
    assert not becomes_readable(sync, 0)
    sync.close()


@both
def test_consecutive_syncs(file: int, kind: Kind) -> None:
    sync = kind(file)
    for _ in range(50):
        os.write(file, b"data")
        disk_sync.sync_and_wait(sync)
    assert not sync.poll_done()
    sync.close()


@both
def test_a_read_only_descriptor_suffices(tmp_path: Path, file: int, kind: Kind) -> None:
    os.write(file, b"written through another descriptor")
    reading = os.open(tmp_path / "file", os.O_RDONLY | os.O_CLOEXEC)
    sync = kind(reading)
    disk_sync.sync_and_wait(sync)
    sync.close()
    os.close(reading)


@both
def test_a_disk_error_is_raised_when_the_sync_ends(lost_file: int, kind: Kind) -> None:
    sync = kind(lost_file)
    sync.start()
    assert becomes_readable(sync, 20)
    with pytest.raises(OSError, match="Input/output error") as refused:
        sync.poll_done()
    assert refused.value.errno == errno.EIO
    sync.close()


@both
def test_close_releases_everything(file: int, kind: Kind) -> None:
    before = held_resources()
    sync = kind(file)
    assert held_resources() != before
    disk_sync.sync_and_wait(sync)
    sync.close()
    assert held_resources() == before


def test_the_kernel_refuses_a_pipe_when_the_sync_starts() -> None:
    reading, writing = os.pipe()
    sync = KernelSync(reading)
    with pytest.raises(OSError, match="Invalid argument"):
        sync.start()
    sync.close()
    os.close(reading)
    os.close(writing)


def test_the_kernel_syncs_where_it_can(file: int) -> None:
    sync = disk_sync.open_disk_sync(file)
    assert isinstance(sync, KernelSync)
    assert not sync.poll_done()
    sync.close()


def unknown_machine(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(platform, "machine", lambda: "riscv64")


def unknown_system_call(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(disk_sync, "_CALLS", {platform.machine(): (100_000,) * 4})


def unknown_command(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(disk_sync, "_FDSYNC", 99)


def sync_fails_with(code: int) -> Callable[[pytest.MonkeyPatch], None]:
    def refuse(patch: pytest.MonkeyPatch) -> None:
        def poll_done(_: KernelSync) -> bool:
            raise OSError(code, os.strerror(code))

        patch.setattr(KernelSync, "poll_done", poll_done)

    return refuse


@pytest.mark.parametrize(
    "refuse",
    [
        unknown_machine,
        unknown_system_call,
        unknown_command,
        sync_fails_with(errno.EOPNOTSUPP),
    ],
    ids=["unknown machine", "sandbox", "older kernel", "file system without support"],
)
def test_a_thread_syncs_where_the_kernel_cannot(
    file: int, monkeypatch: pytest.MonkeyPatch, refuse: Callable[[pytest.MonkeyPatch], None]
) -> None:
    refuse(monkeypatch)
    before = held_resources()
    sync = disk_sync.open_disk_sync(file)
    assert isinstance(sync, ThreadSync)
    disk_sync.sync_and_wait(sync)
    sync.close()
    assert held_resources() == before


def test_a_disk_error_does_not_fall_back_to_a_thread(lost_file: int) -> None:
    before = held_resources()
    with pytest.raises(OSError, match="Input/output error"):
        disk_sync.open_disk_sync(lost_file)
    assert held_resources() == before


def test_a_pipe_can_be_synced_in_neither_way() -> None:
    reading, writing = os.pipe()
    before = held_resources()
    with pytest.raises(OSError, match="Invalid argument"):
        disk_sync.open_disk_sync(reading)
    assert held_resources() == before
    os.close(reading)
    os.close(writing)


def test_running_out_of_descriptors_leaves_nothing_open(file: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: int) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(os, "eventfd", none)
    before = held_resources()
    with pytest.raises(OSError, match="Too many open files"):
        disk_sync.open_disk_sync(file)
    assert held_resources() == before
