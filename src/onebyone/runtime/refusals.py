"""Answers to requests that the application never sees because they are malformed, and one log line for some of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

import structlog

from onebyone.runtime.client_address import truncate_address
from onebyone.runtime.request_head import MalformedRequest, RefusedTarget

REFUSALS = "refusals"
"""The key of the `Refusals` in the application state, where the protocols find it."""

LOG_SECONDS = 10.0
"""At most one line in this time: a scanner sends hundreds of such requests a second, and the log shares a disk."""
_PATH_MAX = 80
"""Characters of a path that are logged; the paths of the product are shorter."""

_log = structlog.get_logger()


class RefusedAnswer(NamedTuple):
    """The answer to a refused request; the connection is closed after it."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes


class Refusals:
    """The refused requests of one process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._next_line = 0.0
        self._unlogged = 0

    def answer(self, malformed: MalformedRequest, target: RefusedTarget) -> RefusedAnswer:
        """Return what to answer to a request that cannot be read."""
        body = b"This is not a valid HTTP request.\n"
        headers = ((b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(body)))
        return RefusedAnswer(malformed.status, headers, body)

    def log(self, malformed: MalformedRequest, target: RefusedTarget, peer: str) -> None:
        """Log the request, unless a line about another one is younger than `LOG_SECONDS`."""
        now = self._clock()
        if now < self._next_line:
            self._unlogged += 1
            return
        _log.warning(
            "malformed request refused",
            fault=malformed.fault,
            path=target.path[:_PATH_MAX].decode("latin-1"),
            peer=truncate_address(peer) or "",
            unlogged=self._unlogged,
        )
        self._next_line, self._unlogged = now + LOG_SECONDS, 0
