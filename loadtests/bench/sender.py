"""Send requests at a constant rate, answered or not, and time each answer from when its request was due.

    python -m loadtests.bench.sender HOST:PORT REQUESTS --count 20000 [--rate 5000] [--connections 64] [--mark TEXT]

A generator that waits for slow answers before it sends the next request never measures the requests that it did not
send (coordinated omission). Here the schedule is fixed: request n is due n / rate seconds after the start. While all
connections wait for an answer, a due request waits for the first free one, and its latency counts from when it was due.
`late` is the generator's own share: from when a request was due and a connection free until it was sent.

Without `--rate` each connection sends its next request immediately. The command prints one JSON object.
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
"""How long to wait for any answer before the missing ones count as errors."""
_GOOD = b"HTTP/1.1 200 "
_READ = 4096


class Sender:
    """Sends on one thread over several connections, each with one request at a time."""

    def __init__(self, address: tuple[str, int], requests: Sequence[bytes], connections: int, mark: bytes) -> None:
        """Take an answer as good if its status is 200 and it contains `mark`."""
        self._address = address
        self._requests = requests
        self._mark = mark
        self._poll = select.epoll()
        self._sockets: dict[int, socket.socket] = {}
        self._free: deque[tuple[int, int]] = deque()
        """Idle connections, and since when (ns)."""
        self._due: dict[int, int] = {}
        """When the pending request of each busy connection was due (ns)."""
        self._parts: dict[int, bytes] = {}
        """Incomplete answers by connection."""
        self.latency, self.late = array("q"), array("q")
        self.errors = 0
        self.seconds = self.busy_seconds = 0.0
        """Duration of the last run, and CPU time of this thread in it."""
        for _ in range(connections):
            self._connect()

    def run(self, count: int, rate: float | None) -> None:
        """Send `count` requests and wait for their answers."""
        # All work per request is in this function, in local names: the less it costs, the more it can send.
        clock, sockets, free, due_of = time.perf_counter_ns, self._sockets, self._free, self._due
        requests, mark, latency, late = self._requests, self._mark, self.latency, self.late
        interval, variety = 1e9 / rate if rate else 0.0, len(requests)
        worked, start = time.thread_time(), clock()
        last_sign, sent, due, usual = start, 0, start, 0
        while sent < count or due_of:
            now = clock()
            while free and sent < count and (due := start + int(sent * interval) if rate else now) <= now:
                fd, since = free.popleft()
                sockets[fd].send(requests[sent % variety])
                due_of[fd] = due
                late.append(now - (due if due > since else since))
                sent += 1
                now = clock()
            if free and sent < count and due > now:
                # The timeout of epoll is in milliseconds, too coarse for the schedule.
                select.select((self._poll,), (), (), (due - now) / 1e9)
                events = self._poll.poll(0)
            else:
                events = self._poll.poll(PATIENCE_SECONDS)
            for fd, _ in events:
                try:
                    data = sockets[fd].recv(_READ)
                except OSError:
                    data = b""
                if len(data) != usual or fd in self._parts:
                    data = self._parts.pop(fd, b"") + data if data else b""
                    if not data:
                        self._reconnect(fd)
                        continue
                    if not is_complete(data):
                        self._parts[fd] = data
                        continue
                    usual = len(data)
                now = clock()
                latency.append(now - due_of.pop(fd))
                free.append((fd, now))
                if not data.startswith(_GOOD) or mark not in data:
                    self.errors += 1
            if events:
                last_sign = now
            elif now - last_sign > PATIENCE_SECONDS * 1e9:
                self.errors += len(due_of) + count - sent
                break
        self.seconds, self.busy_seconds = (clock() - start) / 1e9, time.thread_time() - worked

    def close(self) -> None:
        """Close all connections."""
        for connection in self._sockets.values():
            connection.close()
        self._poll.close()

    def _connect(self) -> None:
        connection = socket.create_connection(self._address, timeout=PATIENCE_SECONDS)
        connection.setblocking(False)
        self._sockets[connection.fileno()] = connection
        self._poll.register(connection.fileno(), select.EPOLLIN)
        self._free.append((connection.fileno(), time.perf_counter_ns()))

    def _reconnect(self, fd: int) -> None:
        self._poll.unregister(fd)
        self._sockets.pop(fd).close()
        self._parts.pop(fd, None)
        if self._due.pop(fd, None) is not None:
            self.errors += 1
        for pair in [pair for pair in self._free if pair[0] == fd]:
            self._free.remove(pair)
        self._connect()


def is_complete(data: bytes) -> bool:
    """Return whether the data holds a complete answer with its body."""
    head, end, body = data.partition(b"\r\n\r\n")
    if not end:
        return False
    _, named, length = head.lower().partition(b"\r\ncontent-length:")
    return not named or len(body) >= int(length.split(b"\r\n", 1)[0])


def figures(sender: Sender) -> dict[str, float]:
    """Return the figures of the last run."""
    latency, late = sorted(sender.latency), sorted(sender.late)
    result = {
        "answered": len(latency),
        "errors": sender.errors,
        "rate": len(latency) / sender.seconds,
        "busy": sender.busy_seconds / sender.seconds,
    }
    if latency:
        shares = {"p50_ms": 0.5, "p90_ms": 0.9, "p99_ms": 0.99, "p999_ms": 0.999, "max_ms": 1.0}
        result |= {name: percentile(latency, share) / 1e6 for name, share in shares.items()}
        result["late_p99_ms"] = percentile(late, 0.99) / 1e6
    return result


def main() -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(prog="loadtests.bench.sender", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("address", help="HOST:PORT on the loopback address")
    parser.add_argument("requests", type=Path, help="a file that browsers.py has written")
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--rate", type=float, help="requests per second; default: as they are answered")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--mark", default="", help="what a good answer contains")
    options = parser.parse_args()
    host, _, port = options.address.rpartition(":")
    if host != "127.0.0.1":
        parser.error("only the loopback address is allowed")
    with suppress(OSError):
        # Otherwise the kernel may extend each wait by 50 us.
        Path("/proc/self/timerslack_ns").write_text("1")
    sender = Sender(
        (host, int(port)), browsers.read_requests(options.requests), options.connections, options.mark.encode()
    )
    gc.collect()
    gc.freeze()
    gc.disable()
    sender.run(options.count, options.rate)
    sender.close()
    print(json.dumps(figures(sender)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
