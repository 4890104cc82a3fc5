"""What keeps the shards of a process from counting: counted in a metric, logged when it begins and when it ends."""

from __future__ import annotations

from typing import Literal

from onebyone.counter import metrics
from onebyone.runtime.outage import Outage

Cause = Literal["stream", "sql", "position", "counter"]

_ENDED = "counting resumed"


class Outages:
    """Shared by all shards of a process: an outage lasts while any of them fails."""

    def __init__(self) -> None:
        self._outages: dict[Cause, Outage] = {
            "stream": Outage("stream server is unreachable, counting is paused", _ENDED),
            "sql": Outage("report store is unreachable, counting is paused", _ENDED),
            "position": Outage("another counter has counted this shard, reading its position again", _ENDED),
            "counter": Outage("unexpected failure, retrying", _ENDED, expected=()),
        }

    def ongoing(self, cause: Cause) -> bool:
        """Return whether the last attempt of any shard failed for this cause."""
        return self._outages[cause].ongoing

    def failed(self, cause: Cause, shard: int, error: BaseException) -> float:
        """Note a failure; return the seconds to wait before the next attempt."""
        metrics.ERRORS.labels(cause).inc()
        return self._outages[cause].failed(error, shard, store=cause, shard=shard)

    def succeeded(self, shard: int) -> None:
        """Note that everything works for this shard."""
        for cause, outage in self._outages.items():
            outage.succeeded(shard, store=cause)

    def withdraw(self, shard: int) -> None:
        """Forget the failures of a shard that this process counts no longer."""
        for outage in self._outages.values():
            outage.withdraw(shard)
