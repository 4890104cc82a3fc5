"""A sync of one file that nobody waits for: it is begun, and a descriptor says when it has ended.

A thread that calls `fdatasync` sleeps two or three times (for the data, the file's size, the disk's own cache), and
each sleep costs a processor more than the write did. Linux does all of that on a thread of the kernel's when its
asynchronous I/O is asked (io_submit(2), `IOCB_CMD_FDSYNC`, since 4.18), and the caller sleeps once, or not at all.
Where that is not to be had (another system, a sandbox), a thread of ours calls `fdatasync`.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import queue
import select
import struct
import sys
import threading
from typing import Protocol

import structlog

_CALLS = {"x86_64": (206, 207, 208, 209), "aarch64": (0, 1, 4, 2)}
"""Numbers of io_setup, io_destroy, io_getevents and io_submit, by machine."""
_FDSYNC, _TELL = 3, 1
"""`IOCB_CMD_FDSYNC`, `IOCB_FLAG_RESFD`."""
_REQUEST, _EVENT = struct.Struct("<QIiHhIQQqQII"), struct.Struct("<QQqq")
"""`struct iocb` and `struct io_event` of linux/aio_abi.h."""
_NOT_HERE = (errno.ENOSYS, errno.EINVAL, errno.EPERM, errno.EAGAIN, errno.ENOMEM, errno.EOPNOTSUPP)

_log = structlog.get_logger()


class DiskSync(Protocol):
    """One sync at a time."""

    fd: int
    """Can be read when a sync has ended."""

    def start(self) -> None:
        """All that is written to the file by now goes to the disk. Raises `OSError`: it will not."""

    def poll_done(self) -> bool:
        """Whether it is there. Raises `OSError` when the disk refused."""

    def close(self) -> None:
        """No sync is under way."""


class KernelSync:
    """The kernel's own thread waits."""

    def __init__(self, file: int) -> None:
        """Raises `OSError` where this is not to be had."""
        calls = _CALLS.get(platform.machine())
        if sys.platform != "linux" or sys.maxsize < 2**32 or calls is None:
            raise OSError(errno.ENOSYS, "not on this system")
        setup, self._destroy, self._get_events, self._submit = calls
        # None of these calls waits: the interpreter's lock, once given away, would be long in coming back.
        self._call = ctypes.PyDLL(None, use_errno=True).syscall
        self._call.argtypes = [ctypes.c_long] * 6
        self._call.restype = ctypes.c_long
        self._request = ctypes.create_string_buffer(_REQUEST.size)
        self._requests = ctypes.c_void_p(ctypes.addressof(self._request))
        self._event = ctypes.create_string_buffer(_EVENT.size)
        context = ctypes.c_ulong()
        if self._call(setup, 1, ctypes.addressof(context), 0, 0, 0) != 0:
            raise _last_error()
        self._context = context.value
        try:
            self.fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        except OSError:
            self._call(self._destroy, self._context, 0, 0, 0, 0)
            raise
        _REQUEST.pack_into(self._request, 0, 0, 0, 0, _FDSYNC, 0, file, 0, 0, 0, 0, _TELL, self.fd)

    def start(self) -> None:
        """See `DiskSync`."""
        if self._call(self._submit, self._context, 1, ctypes.addressof(self._requests), 0, 0) != 1:
            raise _last_error()

    def poll_done(self) -> bool:
        """See `DiskSync`."""
        try:
            os.eventfd_read(self.fd)
        except BlockingIOError:
            return False
        if self._call(self._get_events, self._context, 1, 1, ctypes.addressof(self._event), 0) != 1:
            raise _last_error()
        result = _EVENT.unpack(self._event)[2]
        if result != 0:
            raise OSError(-result, os.strerror(-result))
        return True

    def close(self) -> None:
        """See `DiskSync`."""
        self._call(self._destroy, self._context, 0, 0, 0, 0)
        os.close(self.fd)


class ThreadSync:
    """A thread of this process waits."""

    def __init__(self, file: int) -> None:
        self._file = file
        self._error: OSError | None = None
        self._begun: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self.fd, self._tell = os.pipe()
        os.set_blocking(self.fd, False)
        self._thread = threading.Thread(target=self._run, name="sync", daemon=True)
        self._thread.start()

    def start(self) -> None:
        """See `DiskSync`."""
        self._begun.put(True)

    def poll_done(self) -> bool:
        """See `DiskSync`."""
        try:
            os.read(self.fd, 1)
        except BlockingIOError:
            return False
        if self._error is not None:
            raise self._error
        return True

    def close(self) -> None:
        """See `DiskSync`."""
        self._begun.put(False)
        self._thread.join()
        os.close(self.fd)
        os.close(self._tell)

    def _run(self) -> None:
        sync = getattr(os, "fdatasync", os.fsync)
        while self._begun.get():
            try:
                sync(self._file)
            except OSError as error:
                self._error = error
            os.write(self._tell, b".")


def open_disk_sync(file: int) -> DiskSync:
    """The quicker of both that works for this file; all that is in it is on disk then. Blocks; raises `OSError`."""
    try:
        return _checked(KernelSync(file))
    except OSError as error:
        if error.errno not in _NOT_HERE:
            raise
        _log.info("the kernel does not sync for us here, a thread does", error=repr(error))
    return _checked(ThreadSync(file))


def _checked(sync: DiskSync) -> DiskSync:
    try:
        sync_and_wait(sync)
    except BaseException:
        sync.close()
        raise
    return sync


def sync_and_wait(sync: DiskSync) -> None:
    """Blocks until all that is written to the file by now is on disk. Raises `OSError`."""
    sync.start()
    ended = select.poll()
    ended.register(sync.fd, select.POLLIN)
    while not sync.poll_done():
        ended.poll()


def _last_error() -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number))
