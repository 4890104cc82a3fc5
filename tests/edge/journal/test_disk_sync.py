"""A sync that nobody waits for, in the kernel and on a thread: it ends, says so, and tells what the disk refused."""

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
from tests.support.leaks import held
from tests.support.tiers import starts_processes

both = pytest.mark.parametrize("kind", [KernelSync, ThreadSync], ids=["kernel", "thread"])

Kind = Callable[[int], DiskSync]


@pytest.fixture
def file(tmp_path: Path) -> Iterator[int]:
    descriptor = os.open(tmp_path / "file", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC)
    yield descriptor
    os.close(descriptor)


@pytest.fixture
@starts_processes
def lost(tmp_path: Path) -> Iterator[int]:
    """A file with data that is on no disk, on a disk that is gone."""
    disk = LoopDisk(tmp_path / "disk", tmp_path / "mounted", 16)
    descriptor = os.open(tmp_path / "mounted" / "file", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC)
    os.write(descriptor, b"data")
    disk.lose_power()
    yield descriptor
    os.close(descriptor)
    disk.remove()


def says(sync: DiskSync, seconds: float) -> bool:
    """Whether the descriptor can be read within that time."""
    return bool(select.select([sync.fd], [], [], seconds)[0])


@both
def test_it_has_not_ended_before_it_is_begun(file: int, kind: Kind) -> None:
    sync = kind(file)
    assert not sync.poll_done()
    assert not says(sync, 0)
    sync.close()


@both
def test_a_sync_ends_once_and_the_descriptor_says_so(file: int, kind: Kind) -> None:
    sync = kind(file)
    os.write(file, b"data")
    sync.start()
    assert says(sync, 20)
    assert sync.poll_done()
    assert not sync.poll_done()
    assert not says(sync, 0)
    sync.close()


@both
def test_one_comes_after_the_other(file: int, kind: Kind) -> None:
    sync = kind(file)
    for _ in range(50):
        os.write(file, b"data")
        disk_sync.sync_and_wait(sync)
    assert not sync.poll_done()
    sync.close()


@both
def test_a_file_that_is_open_for_reading_will_do(tmp_path: Path, file: int, kind: Kind) -> None:
    os.write(file, b"written through another descriptor")
    reading = os.open(tmp_path / "file", os.O_RDONLY | os.O_CLOEXEC)
    sync = kind(reading)
    disk_sync.sync_and_wait(sync)
    sync.close()
    os.close(reading)


@both
def test_what_the_disk_refused_is_told_at_the_end(lost: int, kind: Kind) -> None:
    sync = kind(lost)
    sync.start()
    assert says(sync, 20)
    with pytest.raises(OSError, match="Input/output error") as refused:
        sync.poll_done()
    assert refused.value.errno == errno.EIO
    sync.close()


@both
def test_nothing_of_it_is_left(file: int, kind: Kind) -> None:
    before = held()
    sync = kind(file)
    assert held() != before
    disk_sync.sync_and_wait(sync)
    sync.close()
    assert held() == before


def test_what_is_no_file_is_refused_by_the_kernel_at_once() -> None:
    reading, writing = os.pipe()
    sync = KernelSync(reading)
    with pytest.raises(OSError, match="Invalid argument"):
        sync.start()
    sync.close()
    os.close(reading)
    os.close(writing)


def test_the_kernel_waits_where_it_can(file: int) -> None:
    sync = disk_sync.open_disk_sync(file)
    assert isinstance(sync, KernelSync)
    assert not sync.poll_done()
    sync.close()


def another_machine(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(platform, "machine", lambda: "riscv64")


def no_such_call(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(disk_sync, "_CALLS", {platform.machine(): (100_000,) * 4})


def no_such_request(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(disk_sync, "_FDSYNC", 99)


def a_refusal_of(number: int) -> Callable[[pytest.MonkeyPatch], None]:
    def refuse(patch: pytest.MonkeyPatch) -> None:
        def poll_done(_: KernelSync) -> bool:
            raise OSError(number, os.strerror(number))

        patch.setattr(KernelSync, "poll_done", poll_done)

    return refuse


@pytest.mark.parametrize(
    "refuse",
    [
        another_machine,
        no_such_call,
        pytest.param(no_such_request),
        pytest.param(a_refusal_of(errno.EOPNOTSUPP)),
    ],
    ids=["another machine", "a sandbox", "an older kernel", "a file system without it"],
)
def test_a_thread_waits_where_the_kernel_does_not(
    file: int, monkeypatch: pytest.MonkeyPatch, refuse: Callable[[pytest.MonkeyPatch], None]
) -> None:
    refuse(monkeypatch)
    before = held()
    sync = disk_sync.open_disk_sync(file)
    assert isinstance(sync, ThreadSync)
    disk_sync.sync_and_wait(sync)
    sync.close()
    assert held() == before


def test_a_disk_that_refuses_is_no_reason_for_a_thread(lost: int) -> None:
    before = held()
    with pytest.raises(OSError, match="Input/output error"):
        disk_sync.open_disk_sync(lost)
    assert held() == before


def test_what_can_be_synced_in_no_way_is_refused() -> None:
    reading, writing = os.pipe()
    before = held()
    with pytest.raises(OSError, match="Invalid argument"):
        disk_sync.open_disk_sync(reading)
    assert held() == before
    os.close(reading)
    os.close(writing)


def test_without_descriptors_nothing_is_left(file: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: int) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(os, "eventfd", none)
    before = held()
    with pytest.raises(OSError, match="Too many open files"):
        disk_sync.open_disk_sync(file)
    assert held() == before
