"""Notices requests that a proxy has sent before: it marks them, or repeats its id for the same tag within a second.

A proxy that waits in vain for an answer may ask the next edge, though the first has recorded the event; then one
request counts twice. Only proxies that the operator trusts are heard. The flag never uncounts an event, so all that a
client can forge is a flag on its own events.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable
from itertools import islice
from typing import NamedTuple

WINDOW_SECONDS = 1.0
"""How soon after the first a request with the same id is a retry: proxies retry immediately or after a short time-out,
and the memory that this takes grows with it."""
REQUESTS_REMEMBERED = 16_384
"""Requests that one process remembers, in three megabytes: those of a second at more than it can take."""

IDS = (
    *(b"cf-ray", b"x-amz-cf-id", b"x-azure-ref", b"fly-request-id", b"x-cloud-trace-context", b"x-amzn-trace-id"),
    *(b"x-request-id", b"x-unique-id", b"x-correlation-id", b"traceparent"),
)
"""Headers in which proxies name a request, the outermost first: its id stays the same when an inner proxy retries."""
COUNTS = {b"x-envoy-attempt-count": 1, b"x-retry-count": 0, b"x-retry-attempt": 0, b"x-retries": 0}
"""Headers in which proxies count attempts -> the value of the first attempt."""


class Sighting(NamedTuple):
    """What a proxy says of one request."""

    digest: bytes
    """Names the request of the proxy and its tag, without telling either; empty if no proxy names it."""
    retried: bool
    """Whether the proxy has sent it before."""

    @property
    def member(self) -> bytes:
        """The digest as a JSON member of an event line, preceded by a comma."""
        return b',"rid":"%b"' % self.digest if self.digest else b""


NOTHING = Sighting(b"", False)


class ProxyRetries:
    """The requests of the last second, by the ids that proxies gave them."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: dict[bytes, float] = {}

    def look(self, target: bytes, headers: Iterable[tuple[bytes, bytes]]) -> Sighting:
        """Return what a trusted proxy says of a request: `target` is its path and query, `headers` are in lower case.

        Nothing is remembered yet: the same request may be looked at again before it is decided.
        """
        values = {name: value for name, value in headers if name in _HEADERS}
        if not values:
            return NOTHING
        retried = any(_number(values.get(name, b"")) > first for name, first in COUNTS.items())
        named = next((values[name] for name in IDS if values.get(name)), b"")
        if not named:
            return Sighting(b"", retried)
        digest = hashlib.blake2b(b"%b %b" % (named, target), digest_size=8).hexdigest().encode()
        return Sighting(digest, retried or self._clock() - self._seen.get(digest, float("-inf")) <= WINDOW_SECONDS)

    def remember(self, sighting: Sighting) -> None:
        """Remember a request whose event is recorded."""
        if not sighting.digest:
            return
        if len(self._seen) >= REQUESTS_REMEMBERED:
            for oldest in list(islice(self._seen, REQUESTS_REMEMBERED // 8)):
                del self._seen[oldest]
        self._seen.pop(sighting.digest, None)
        self._seen[sighting.digest] = self._clock()


_HEADERS = frozenset((*IDS, *COUNTS))


def _number(value: bytes) -> int:
    return int(value) if value.isdigit() and len(value) < 10 else 0
