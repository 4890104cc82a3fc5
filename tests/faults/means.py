"""How faults are made: signals, the stream server's own commands, a proxy that can be cut, injected system calls."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.support.product import Product
from tests.support.waiting import wait_until


def kill(product: Product, role: str, count: int | None = None) -> None:
    """SIGKILL to the first `count` processes of a role, or to all, once there is one."""
    for pid in wait_until(lambda: product.pids(role), f"{role} runs", every=0.02)[:count]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@contextlib.contextmanager
def frozen(product: Product, *roles: str) -> Iterator[None]:
    """SIGSTOP to all processes of some roles, SIGCONT at the end."""
    pids = [pid for role in roles for pid in product.pids(role)]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def embedded(product: Product) -> Any:
    """A client of the embedded server."""
    return redis.Redis.from_url((product.data_dir / "run" / "embedded-valkey").read_text().strip(), protocol=2)


def descriptors(pid: int) -> int:
    """Open files of a process."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def threads(pid: int) -> int:
    """Threads of a process."""
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


@contextlib.contextmanager
def injected(pids: list[int], fault: str) -> Iterator[None]:
    """System calls of processes that fail or wait, as strace injects them: at the border of the kernel."""
    command = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"inject={fault}"]
    try:
        tracer = subprocess.Popen([*command, *(f"--attach={pid}" for pid in pids)], stderr=subprocess.DEVNULL)
    except FileNotFoundError:
        pytest.skip("no strace to inject faults into system calls")
    try:
        wait_until(lambda: all(_traced(pid) for pid in pids), "strace is attached")
        yield
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.wait(20)


def _traced(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return "TracerPid:\t0\n" not in Path(f"/proc/{pid}/status").read_text()
    return True


def reset(address: tuple[str, int], request: bytes, wait: float) -> None:
    """Sends a request and resets the connection before the answer is read."""
    with socket.create_connection(address, timeout=20) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.sendall(request)
        time.sleep(wait)


class Proxy:
    """A TCP port before a unix socket. `hold` lets nothing pass and closes nothing; `cut` closes what is open."""

    def __init__(self, target: Path) -> None:
        self._target = str(target)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open = threading.Event()
        self._open.set()
        self._delay = 0.0
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def hold(self) -> None:
        """A partition: packets vanish both ways."""
        self._open.clear()

    def release(self) -> None:
        """What was held goes on."""
        self._open.set()

    def delay(self, seconds: float) -> None:
        """Each piece takes so long."""
        self._delay = seconds

    def cut(self) -> None:
        """Resets every connection."""
        for pair in self._pairs:
            for end in pair:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
        self._pairs.clear()

    def close(self) -> None:
        """Ends it."""
        self._listener.close()
        self.release()
        self.cut()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.socket(socket.AF_UNIX)
                try:
                    far.connect(self._target)
                except OSError:
                    near.close()
                    far.close()
                    continue
                self._pairs.append((near, far))
                threading.Thread(target=self._carry, args=(near, far), daemon=True).start()

    def _carry(self, near: socket.socket, far: socket.socket) -> None:
        with selectors.DefaultSelector() as ready, near, far, contextlib.suppress(OSError, ValueError):
            ready.register(near, selectors.EVENT_READ, far)
            ready.register(far, selectors.EVENT_READ, near)
            while True:
                for key, _ in ready.select():
                    piece = key.fileobj.recv(65536)  # type: ignore[union-attr]
                    if not piece:
                        return
                    self._open.wait()
                    time.sleep(self._delay)
                    key.data.sendall(piece)
