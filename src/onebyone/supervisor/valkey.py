"""The embedded server: one per data folder, on a unix socket, never orphaned, restarted with its data.

* Two servers in one folder would destroy its append-only file. The server process itself inherits a locked file
  descriptor, so the folder stays locked for as long as any server runs in it, whatever happens to the supervisor.
* It runs in a session of its own, so that Ctrl-C does not reach it, and ends with the supervisor (on Linux
  immediately, by PR_SET_PDEATHSIG; elsewhere the next start shuts it down over its socket).
* The append-only file has no RDB preamble, so that Redis and Valkey of any version can read it.
* All its data can be rebuilt (configuration from SQL, events from the edges' journals), so a damaged append-only file
  is moved aside and never prevents a start.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import structlog

from onebyone.runtime.file_lock import try_lock
from onebyone.supervisor import socket_dir, valkey_binary
from onebyone.supervisor.child import Child
from onebyone.supervisor.data_dir import ORPHAN_SECONDS, DataDir
from onebyone.supervisor.fault import StartFault
from onebyone.supervisor.process import Process, ProcessTable
from onebyone.supervisor.valkey_log import ServerLog

START_SECONDS = 120.0
"""Bound on loading the append-only file: 256 MB take seconds, a slow disk with a larger limit a minute."""
_POLL_SECONDS = 0.01
"""Between two PINGs of a starting server, which needs about 20 ms."""
_PR_SET_PDEATHSIG = 1
"""From <linux/prctl.h>; Python has no name for it."""

_log = structlog.get_logger()


class EmbeddedValkey(Child):
    """The server of one data folder; raises `StartFault` when it can never run."""

    def __init__(self, data_dir: DataDir, maxmemory: str, table: ProcessTable) -> None:
        super().__init__("valkey")
        self._data_dir = data_dir
        self._maxmemory = maxmemory
        self._table = table
        self._binary = valkey_binary.find_valkey(data_dir.run)
        self._lock = self._lock_folder()
        self._forget_earlier_run()
        self._socket_dir = socket_dir.create_socket_dir()
        self.socket = socket_dir.socket_path(self._socket_dir)
        self.url = f"unix://{self.socket}"
        self._server_log = ServerLog(data_dir.valkey / "server.log")
        with _warn_on_full_disk("other commands cannot find the embedded server"):
            self._data_dir.embedded_url.write_text(self.url + "\n")

    async def launch(self) -> Process:
        """Start the server and wait for its PONG; move a damaged append-only file aside once."""
        process = await self._run()
        if process.ended.is_set() and self._server_log.reports_damage():
            self._move_aside()
            process = await self._run()
        if process.ended.is_set():
            reason = "the disk is full" if self._data_dir.is_full() else self._server_log.complaint()
            raise StartFault(f"embedded {self._binary.version} ended with {process.end}: {reason}")
        with _warn_on_full_disk("the version of the embedded server is not recorded"):
            (self._data_dir.valkey / "server-version").write_text(self._binary.version + "\n")
        self.ready.set()
        return process

    def on_exit(self, process: Process) -> None:
        """Do nothing: the next server unlinks the socket of a dead one."""

    def remove(self) -> None:
        """Remove the folder of the socket; call it once the server has stopped."""
        self._data_dir.embedded_url.unlink(missing_ok=True)
        socket_dir.remove_socket_dir(self._socket_dir)
        os.close(self._lock)

    async def _run(self) -> Process:
        """Return the server once it answers, or once it has ended."""
        with self._server_log.open() as output:
            process = self._table.start(
                self._command(), pass_fds=[self._lock], output=output.fileno(), in_child=_die_with(os.getpid())
            )
        # Set before it answers, so that a stop during the start ends this process too.
        self._process = process
        try:
            async with asyncio.timeout(START_SECONDS):
                while not (process.ended.is_set() or _replies(self.socket, b"PING", b"+PONG")):  # noqa: ASYNC110
                    await asyncio.sleep(_POLL_SECONDS)
        except TimeoutError:
            process.signal(signal.SIGKILL)
            await process.ended.wait()
        return process

    def _command(self) -> list[str]:
        options = {
            "port": "0",
            "unixsocket": str(self.socket),
            "unixsocketperm": "700",
            "dir": str(self._data_dir.valkey),
            "daemonize": "no",
            "appendonly": "yes",
            "appendfsync": "everysec",
            "aof-use-rdb-preamble": "no",
            "aof-load-truncated": "yes",
            "save": "",
            "maxmemory": self._maxmemory,
            "maxmemory-policy": "noeviction",
        }
        return [str(self._binary.path), *(word for name, value in options.items() for word in (f"--{name}", value))]

    def _lock_folder(self) -> int:
        try:
            self._data_dir.valkey.mkdir(mode=0o700, exist_ok=True)
            fd = os.open(self._data_dir.valkey / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise StartFault(f"{self._data_dir.valkey} cannot be used: {error.strerror}") from None
        deadline = time.monotonic() + ORPHAN_SECONDS
        while True:
            if try_lock(fd):
                return fd
            # This supervisor holds the locks of the roles, so the server belongs to one that was killed.
            self._stop_earlier_server()
            if time.monotonic() > deadline:
                raise StartFault(f"{self._data_dir.valkey} is still in use by a server of an earlier run")
            time.sleep(0.05)

    def _stop_earlier_server(self) -> None:
        if self._data_dir.embedded_url.exists():
            _replies(_earlier_socket(self._data_dir), b"SHUTDOWN", b"")

    def _forget_earlier_run(self) -> None:
        if self._data_dir.embedded_url.exists():
            socket_dir.remove_socket_dir(_earlier_socket(self._data_dir).parent)

    def _move_aside(self) -> None:
        damaged = self._data_dir.valkey / "appendonlydir"
        aside = self._data_dir.valkey / time.strftime("damaged-%Y%m%dT%H%M%SZ", time.gmtime())
        damaged.rename(aside)
        _log.error(
            "append-only file of the embedded server was damaged: moved it aside and started with an empty one, "
            "which the configuration store and the journals fill again",
            moved_to=str(aside),
            server=self._binary.version,
            written_by=self._written_by(),
            reason=self._server_log.complaint(),
        )

    def _written_by(self) -> str:
        try:
            return (self._data_dir.valkey / "server-version").read_text().strip()
        except OSError:
            return "unknown"


@contextlib.contextmanager
def _warn_on_full_disk(consequence: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        _log.warning(consequence, reason=str(error))


def _earlier_socket(data_dir: DataDir) -> Path:
    return Path(data_dir.embedded_url.read_text().strip().removeprefix("unix://"))


def _replies(path: Path, command: bytes, reply: bytes) -> bool:
    """Return whether the server on a socket answers `command` with `reply`; a loading one does not."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(1.0)
            connection.connect(str(path))
            connection.sendall(command + b"\r\n")
            return connection.recv(64).startswith(reply)
    except OSError:
        return False


def _die_with(supervisor: int) -> Callable[[], None] | None:
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl

    def in_child() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != supervisor:
            os._exit(1)

    return in_child
