"""Clients that note for every cachebuster whether it was recorded, refused or never answered."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

PREFETCH = {"Purpose": "prefetch"}
KEPT = "ignored; reason=prefetch"
"""How the edge answers a prefetch whose event it keeps uncounted."""


@dataclass
class Answers:
    """The outcome of each cachebuster. One without an answer is in doubt: it may be recorded, but at most once."""

    recorded: set[str] = field(default_factory=set)
    """Those with a receipt, the kept ones included."""
    refused: set[str] = field(default_factory=set)
    in_doubt: set[str] = field(default_factory=set)
    reasons: Counter[str] = field(default_factory=Counter)
    """How often each reason was given for a refusal."""
    took: list[tuple[float, float]] = field(default_factory=list)
    """Of each answer: when it came (monotonic) and how many seconds it took."""

    @property
    def sent(self) -> int:
        """Number of requests that were written to a socket."""
        return len(self.recorded) + len(self.refused) + len(self.in_doubt)


class Traffic:
    """Send requests from several threads, each on a keep-alive connection that is reopened when it breaks."""

    def __init__(
        self,
        url: str,
        path: Callable[[str], str],
        clients: int = 4,
        prefix: str = "t",
        first: int = 0,
        is_prefetch: Callable[[str], bool] = lambda name: False,
    ) -> None:
        """Take `path`, which maps a cachebuster to the path of its request: the prefix and a number from `first` on.

        `is_prefetch` says which requests are prefetches, whose events must be kept.
        """
        self._is_prefetch = is_prefetch
        self._address = urlsplit(url)
        self._path = path
        self._clients = clients
        self._prefix = prefix
        self._first = first
        self._numbers = itertools.count(first)
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._limit = 0
        self._pause = 0.0
        self._every = 0.0
        self._began = 0.0
        self._threads: list[threading.Thread] = []
        self.answers = Answers()

    def start(self, limit: int = 10**9, pause: float = 0.0, rate: float = 0.0) -> None:
        """Start up to `limit` requests: `pause` seconds apart in each client, or `rate` a second in all."""
        self._every = 1 / rate if rate else 0.0
        self._began = time.monotonic()
        self._limit = limit
        self._pause = pause
        self._threads = [threading.Thread(target=self._client, daemon=True) for _ in range(self._clients)]
        for thread in self._threads:
            thread.start()

    def wait(self, seconds: float = 300) -> Answers:
        """Wait until all requests up to the limit have been sent, and return the answers."""
        for thread in self._threads:
            thread.join(seconds)
        return self.answers

    def stop(self) -> Answers:
        """Stop after the requests in flight, and return the answers."""
        self._stopping.set()
        return self.wait()

    @property
    def done(self) -> bool:
        """Whether every client has ended."""
        return not any(thread.is_alive() for thread in self._threads)

    def _names(self) -> Iterator[str]:
        while not self._stopping.is_set():
            number = next(self._numbers)
            nth = number - self._first
            if nth >= self._limit:
                return
            if self._every:
                self._stopping.wait(max(0.0, self._began + nth * self._every - time.monotonic()))
            yield f"{self._prefix}{number}"

    def _client(self) -> None:
        connection: http.client.HTTPConnection | None = None
        for name in self._names():
            if connection is None:
                connection = http.client.HTTPConnection(str(self._address.hostname), self._address.port, timeout=30)
            began = time.monotonic()
            try:
                connection.request("GET", self._path(name), headers=PREFETCH if self._is_prefetch(name) else {})
                answer = connection.getresponse()
                answer.read()
            except (OSError, http.client.HTTPException):
                with contextlib.suppress(OSError):
                    connection.close()
                connection = None
                self._note(self.answers.in_doubt, name)
                self._stopping.wait(0.02)
                continue
            self._read(name, answer.headers.get("X-OneByOne", ""), began)
            if self._pause:
                self._stopping.wait(self._pause)
        if connection is not None:
            connection.close()

    def _read(self, name: str, verdict: str, began: float) -> None:
        ended = time.monotonic()
        with self._lock:
            self.answers.took.append((ended, ended - began))
            if verdict == (KEPT if self._is_prefetch(name) else "recorded"):
                self.answers.recorded.add(name)
            else:
                self.answers.refused.add(name)
                self.answers.reasons[verdict.rpartition("reason=")[2] or "no verdict"] += 1

    def _note(self, names: set[str], name: str) -> None:
        with self._lock:
            names.add(name)
