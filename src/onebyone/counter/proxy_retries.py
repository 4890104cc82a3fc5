"""Notices requests of a proxy that reached several edges: events with the same id of the proxy within a second."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from onebyone.counter import metrics

WINDOW_MS = 1000
"""How far apart the times of receipt may be; the same as an edge allows between two requests that it gets itself."""
REQUESTS_REMEMBERED = 100_000
"""Requests that one counter remembers, in some twenty megabytes: those of a second at more than it can count."""


class ProxyRetries:
    """The newest requests that proxies named, over all shards of a process: as far as they fit, and counted here."""

    def __init__(self) -> None:
        self._seen: dict[str, int] = {}

    def note(self, requests: Iterable[tuple[str, int]]) -> None:
        """Note the `rid` and `ts` of counted events, and count those that a proxy sent twice."""
        for name, ts in requests:
            known = self._seen.pop(name, None)
            if known is not None and abs(ts - known) <= WINDOW_MS:
                metrics.PROXY_RETRIES.inc()
            elif len(self._seen) >= REQUESTS_REMEMBERED:
                for oldest in list(islice(self._seen, REQUESTS_REMEMBERED // 8)):
                    del self._seen[oldest]
            self._seen[name] = ts
