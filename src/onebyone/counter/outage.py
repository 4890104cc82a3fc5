"""What keeps a shard from counting: who fails, how long to wait, and one log line when that begins and ends."""

from __future__ import annotations

import structlog

from onebyone.counter import metrics

BACKOFF_SECONDS = (0.1, 0.2, 0.5, 1.0, 2.0)

_BEGIN = {
    "stream": "stream server is away, counting waits",
    "sql": "report store is away, counting waits",
    "position": "another counter has counted this shard, reading its position again",
    "counter": "unexpected failure, trying again",
}

_log = structlog.get_logger()


class Outages:
    """Shared by all shards of a process: an outage lasts while any of them fails. `store` is a key of `_BEGIN`."""

    def __init__(self) -> None:
        self._failures: dict[str, dict[int, int]] = {}

    def failed(self, store: str, shard: int, error: BaseException) -> float:
        """Notes a failure; the seconds to wait before the next attempt."""
        metrics.ERRORS.labels(store).inc()
        failing = self._failures.setdefault(store, {})
        if not failing:
            _log.warning(_BEGIN[store], store=store, shard=shard, error=f"{error!r:.300}")
        failing[shard] = failing.get(shard, 0) + 1
        return BACKOFF_SECONDS[min(failing[shard], len(BACKOFF_SECONDS)) - 1]

    def over(self, shard: int) -> None:
        """Everything works for this shard."""
        for store, failing in self._failures.items():
            if failing.pop(shard, None) and not failing:
                _log.info("counting goes on", store=store)
