"""Asynchronous fdatasync of one file: the caller starts a sync, and a file descriptor becomes readable when it ends.

A thread that calls `fdatasync` sleeps two or three times (for the data, for the file's size, for the disk's own cache),
and each sleep costs more CPU time than the write did. Linux does all of this on a kernel thread if asked through its
asynchronous I/O interface (io_submit(2), `IOCB_CMD_FDSYNC`, since 4.18); the caller then sleeps once or not at all.
Where that interface is missing (another system, a sandbox), a thread of this process calls `fdatasync`.
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
_FDSYNC, _NOTIFY_EVENTFD = 3, 1
"""`IOCB_CMD_FDSYNC`, `IOCB_FLAG_RESFD`."""
_REQUEST, _EVENT = struct.Struct("<QIiHhIQQqQII"), struct.Struct("<QQqq")
"""`struct iocb` and `struct io_event` of linux/aio_abi.h."""
_UNSUPPORTED = (errno.ENOSYS, errno.EINVAL, errno.EPERM, errno.EAGAIN, errno.ENOMEM, errno.EOPNOTSUPP)
"""What the kernel answers when it cannot sync this file asynchronously; any other error is one of the disk."""

_log = structlog.get_logger()


class DiskSync(Protocol):
    """Sync one file, one sync at a time."""

    fd: int
    """A file descriptor that becomes readable when a sync has ended."""

    def start(self) -> None:
        """Start syncing everything written to the file so far. Raise `OSError` if the sync cannot be started."""

    def poll_done(self) -> bool:
        """Return whether the sync that was started has ended, once per sync. Raise `OSError` if it failed."""

    def close(self) -> None:
        """Release all resources. Must not be called while a sync is in progress."""


class KernelSync:
    """Sync through Linux asynchronous I/O: a kernel thread waits for the disk."""

    def __init__(self, file_fd: int) -> None:
        """Prepare syncs of the open file `file_fd`. Raise `OSError` where the system has no asynchronous I/O."""
        calls = _CALLS.get(platform.machine())
        if sys.platform != "linux" or sys.maxsize < 2**32 or calls is None:
            raise OSError(errno.ENOSYS, "not on this system")
        setup, self._destroy, self._get_events, self._submit = calls
        # PyDLL keeps the GIL during the call: none of these calls blocks, and getting the GIL back would take longer.
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
        _REQUEST.pack_into(self._request, 0, 0, 0, 0, _FDSYNC, 0, file_fd, 0, 0, 0, 0, _NOTIFY_EVENTFD, self.fd)

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
    """Sync on a thread of this process, which waits for the disk."""

    def __init__(self, file_fd: int) -> None:
        """Prepare syncs of the open file `file_fd`, and start the thread."""
        self._file_fd = file_fd
        self._error: OSError | None = None
        self._requests: queue.SimpleQueue[bool] = queue.SimpleQueue()
        """True: sync once; False: end the thread."""
        self.fd, self._notify_fd = os.pipe()
        os.set_blocking(self.fd, False)
        self._thread = threading.Thread(target=self._run, name="sync", daemon=True)
        self._thread.start()

    def start(self) -> None:
        """See `DiskSync`."""
        self._requests.put(True)

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
        self._requests.put(False)
        self._thread.join()
        os.close(self.fd)
        os.close(self._notify_fd)

    def _run(self) -> None:
        sync = getattr(os, "fdatasync", os.fsync)
        while self._requests.get():
            try:
                sync(self._file_fd)
            except OSError as error:
                self._error = error
            os.write(self._notify_fd, b".")


def open_disk_sync(file_fd: int) -> DiskSync:
    """Return the faster of the two syncs that works for the open file `file_fd`.

    Blocks until everything in the file is on disk. Raise `OSError` if the disk refuses or the file cannot be synced.
    """
    try:
        return _checked(KernelSync(file_fd))
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
        _log.info("no asynchronous sync in this kernel, using a thread", error=repr(error))
    return _checked(ThreadSync(file_fd))


def _checked(sync: DiskSync) -> DiskSync:
    try:
        sync_and_wait(sync)
    except BaseException:
        sync.close()
        raise
    return sync


def sync_and_wait(sync: DiskSync) -> None:
    """Block until everything written to the file so far is on disk. Raise `OSError` if the disk refuses."""
    sync.start()
    readable = select.poll()
    readable.register(sync.fd, select.POLLIN)
    while not sync.poll_done():
        readable.poll()


def _last_error() -> OSError:
    code = ctypes.get_errno()
    return OSError(code, os.strerror(code))
