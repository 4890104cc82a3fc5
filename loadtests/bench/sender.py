"""Sends requests at a constant rate, answered or not, and times each answer from when its request was due.

    python -m loadtests.bench.sender HOST:PORT REQUESTS --count 20000 [--rate 5000] [--connections 64] [--mark TEXT]

A generator that waits for slow answers before it asks again never sees how long those would have waited that it did not
send (coordinated omission). Here the schedule stands: request n is due n / rate seconds after the start; when all
connections wait for an answer it goes as soon as one is free, and its latency counts from when it was due. `late` is
the generator's own share: from when a request was due and a connection free until it was sent.

Without `--rate` each connection asks again at once. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import gc
import json
import select
import socket
import sys
import time
from array import array
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from loadtests.bench import browsers
from loadtests.bench.percentiles import percentile

PATIENCE_SECONDS = 5.0
"""How long to wait for any answer before those that miss are errors."""
_GOOD = b"HTTP/1.1 200 "
_READ = 4096


class Sender:
    """One thread, some connections, each with one request at a time."""

    def __init__(self, address: tuple[str, int], requests: Sequence[bytes], connections: int, mark: bytes) -> None:
        """An answer is good if its status is 200 and it contains `mark`."""
        self._address = address
        self._requests = requests
        self._mark = mark
        self._poll = select.epoll()
        self._sockets: dict[int, socket.socket] = {}
        self._free: deque[tuple[int, int]] = deque()
        """Connections that wait for a request, and since when, by the clock in ns."""
        self._due: dict[int, int] = {}
        """When the request was due that a connection waits for."""
        self._parts: dict[int, bytes] = {}
        """Answers of which a part is there."""
        self.latency, self.late = array("q"), array("q")
        self.errors = 0
        self.seconds = self.busy_seconds = 0.0
        """How long the last run took, and how much of it this thread was at work."""
        for _ in range(connections):
            self._connect()

    def run(self, count: int, rate: float | None) -> None:
        """Sends `count` requests and waits for their answers."""
        # All that happens for each request is here, in local names: what the generator costs, it can send less.
        clock, sockets, free, due_of = time.perf_counter_ns, self._sockets, self._free, self._due
        requests, mark, latency, late = self._requests, self._mark, self.latency, self.late
        interval, variety = 1e9 / rate if rate else 0.0, len(requests)
        worked, start = time.thread_time(), clock()
        last_sign, sent, due, usual = start, 0, start, 0
        while sent < count or due_of:
            now = clock()
            while free and sent < count and (due := start + int(sent * interval) if rate else now) <= now:
                number, since = free.popleft()
                sockets[number].send(requests[sent % variety])
                due_of[number] = due
                late.append(now - (due if due > since else since))
                sent += 1
                now = clock()
            if free and sent < count and due > now:
                # The poll's own timeout is in milliseconds, too coarse for a schedule.
                select.select((self._poll,), (), (), (due - now) / 1e9)
                events = self._poll.poll(0)
            else:
                events = self._poll.poll(PATIENCE_SECONDS)
            for number, _ in events:
                try:
                    data = sockets[number].recv(_READ)
                except OSError:
                    data = b""
                if len(data) != usual or number in self._parts:
                    data = self._parts.pop(number, b"") + data if data else b""
                    if not data:
                        self._lost(number)
                        continue
                    if not whole(data):
                        self._parts[number] = data
                        continue
                    usual = len(data)
                now = clock()
                latency.append(now - due_of.pop(number))
                free.append((number, now))
                if not data.startswith(_GOOD) or mark not in data:
                    self.errors += 1
            if events:
                last_sign = now
            elif now - last_sign > PATIENCE_SECONDS * 1e9:
                self.errors += len(due_of) + count - sent
                break
        self.seconds, self.busy_seconds = (clock() - start) / 1e9, time.thread_time() - worked

    def close(self) -> None:
        """Closes all connections."""
        for connection in self._sockets.values():
            connection.close()
        self._poll.close()

    def _connect(self) -> None:
        connection = socket.create_connection(self._address, timeout=PATIENCE_SECONDS)
        connection.setblocking(False)
        self._sockets[connection.fileno()] = connection
        self._poll.register(connection.fileno(), select.EPOLLIN)
        self._free.append((connection.fileno(), time.perf_counter_ns()))

    def _lost(self, number: int) -> None:
        self._poll.unregister(number)
        self._sockets.pop(number).close()
        self._parts.pop(number, None)
        if self._due.pop(number, None) is not None:
            self.errors += 1
        for pair in [pair for pair in self._free if pair[0] == number]:
            self._free.remove(pair)
        self._connect()


def whole(data: bytes) -> bool:
    """Whether an answer with its body is there."""
    head, end, body = data.partition(b"\r\n\r\n")
    if not end:
        return False
    _, named, length = head.lower().partition(b"\r\ncontent-length:")
    return not named or len(body) >= int(length.split(b"\r\n", 1)[0])


def figures(sender: Sender) -> dict[str, float]:
    """What a run gave."""
    latency, late = sorted(sender.latency), sorted(sender.late)
    found = {
        "answered": len(latency),
        "errors": sender.errors,
        "rate": len(latency) / sender.seconds,
        "busy": sender.busy_seconds / sender.seconds,
    }
    if latency:
        shares = {"p50_ms": 0.5, "p90_ms": 0.9, "p99_ms": 0.99, "p999_ms": 0.999, "max_ms": 1.0}
        found |= {name: percentile(latency, share) / 1e6 for name, share in shares.items()}
        found["late_p99_ms"] = percentile(late, 0.99) / 1e6
    return found


def main() -> int:
    """Reads the options, sends, prints."""
    parser = argparse.ArgumentParser(prog="loadtests.bench.sender", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("address", help="HOST:PORT on the loopback address")
    parser.add_argument("requests", type=Path, help="a file that browsers.py has written")
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--rate", type=float, help="requests a second; default: as they are answered")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--mark", default="", help="what a good answer contains")
    options = parser.parse_args()
    host, _, port = options.address.rpartition(":")
    if host != "127.0.0.1":
        parser.error("only the loopback address")
    with suppress(OSError):
        # Else the kernel may let each wait be 50 us longer.
        Path("/proc/self/timerslack_ns").write_text("1")
    sender = Sender((host, int(port)), browsers.read(options.requests), options.connections, options.mark.encode())
    gc.collect()
    gc.freeze()
    gc.disable()
    sender.run(options.count, options.rate)
    sender.close()
    print(json.dumps(figures(sender)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
