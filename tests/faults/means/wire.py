"""A network to a server in a separate network namespace: a wire that can lose packets.

Both ends are TUN devices. A thread carries the IP packets between them, and drops or delays some on request, so the
kernel's TCP meets what it meets on a bad network: half-open connections, retransmissions, no reset. The devices and the
namespace end with the descriptors and processes that hold them.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import heapq
import itertools
import os
import random
import select
import shutil
import struct
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pytest

from tests.support.debian_packages import needs
from tests.support.waiting import wait_until

_TUNSETIFF, _IFF_TUN, _IFF_NO_PI = 0x400454CA, 0x1, 0x1000
_CLONE_NEWNET = 0x40000000
_MTU = 16_000

T = TypeVar("T")

_networks = itertools.count()
_packets = itertools.count()


@dataclass
class Direction:
    """What happens to the packets in one direction."""

    loss: float = 0.0
    """Share of packets that are dropped; 1.0 is a cut wire."""
    delay: float = 0.0
    """Seconds by which a packet is delayed."""


class Wire:
    """A wire to the address `host`, where servers started by `far` listen. Skips the test where none can be made."""

    def __init__(self, generator: random.Random) -> None:
        self.there = Direction()
        self.back = Direction()
        self._random = generator
        network = f"198.18.{os.getpid() % 250}.{4 * (next(_networks) % 60)}"
        stem, _, last = network.rpartition(".")
        self.host, near = f"{stem}.{int(last) + 2}", f"{stem}.{int(last) + 1}"
        if os.getuid() != 0:
            pytest.skip("only root makes a network namespace")
        if shutil.which("ip") is None:
            pytest.skip(needs("iproute2"))
        self._holder = subprocess.Popen(["unshare", "--net", "sleep", "3600"], stderr=subprocess.DEVNULL)
        try:
            wait_until(self._has_namespace, "a network namespace", 5)
            self._far = self.far(lambda: _device(self.host, near, loopback=True))
            self._near = _device(near, self.host)
        except (OSError, AssertionError, subprocess.CalledProcessError) as error:
            self._holder.kill()
            self._holder.wait()
            pytest.skip(f"cannot make a network namespace with a TUN device: {error}")
        self._closing, self._closed = os.pipe()
        self._carriers = [
            threading.Thread(target=self._carry, args=ends, daemon=True)
            for ends in ((self._near, self._far, self.there), (self._far, self._near, self.back))
        ]
        for carrier in self._carriers:
            carrier.start()

    def far(self, call: Callable[[], T]) -> T:
        """Run `call` inside the namespace, where the processes that it starts stay, and return its result."""
        results: list[T] = []
        errors: list[Exception] = []

        def run() -> None:
            try:
                _enter(self._holder.pid)
                results.append(call())
            except Exception as error:
                errors.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        if errors:
            raise errors[0]
        return results[0]

    def cut(self) -> None:
        """Drop every packet without a reset."""
        self.there.loss = self.back.loss = 1.0

    def heal(self) -> None:
        """Drop and delay nothing from now on."""
        for direction in (self.there, self.back):
            direction.loss = direction.delay = 0.0

    def close(self) -> None:
        """Remove the wire; servers at the far end must have been stopped."""
        os.close(self._closed)
        for carrier in self._carriers:
            carrier.join()
        for fd in (self._near, self._far, self._closing):
            os.close(fd)
        self._holder.kill()
        self._holder.wait()

    def _has_namespace(self) -> bool:
        assert self._holder.poll() is None, "unshare --net is refused"
        own, other = (Path(f"/proc/{pid}/ns/net").readlink() for pid in ("self", self._holder.pid))
        return own != other

    def _carry(self, source: int, target: int, direction: Direction) -> None:
        waiting: list[tuple[float, int, bytes]] = []
        while True:
            pause = max(0.0, waiting[0][0] - time.monotonic()) if waiting else None
            ready = select.select([source, self._closing], [], [], pause)[0]
            if self._closing in ready:
                return
            if source in ready:
                packet = os.read(source, 65_536)
                if self._random.random() >= direction.loss:
                    heapq.heappush(waiting, (time.monotonic() + direction.delay, next(_packets), packet))
            while waiting and waiting[0][0] <= time.monotonic():
                # A full queue at the other end drops the packet, as a switch does.
                with contextlib.suppress(OSError):
                    os.write(target, heapq.heappop(waiting)[2])


def _enter(pid: int) -> None:
    fd = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    try:
        if ctypes.CDLL(None, use_errno=True).setns(fd, _CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")
    finally:
        os.close(fd)


def _device(address: str, peer: str, *, loopback: bool = False) -> int:
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
    about = fcntl.ioctl(fd, _TUNSETIFF, struct.pack("16sH22x", b"fault%d", _IFF_TUN | _IFF_NO_PI))
    name = about[:16].rstrip(b"\0").decode()
    for words in (
        *([("link", "set", "lo", "up")] if loopback else []),
        ("address", "add", address, "peer", peer, "dev", name),
        ("link", "set", name, "mtu", str(_MTU), "up"),
    ):
        subprocess.run(["ip", *words], check=True, capture_output=True)
    return fd
