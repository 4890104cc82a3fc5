"""The health of a counter process: whether it can count, and how old the oldest event is that it has not counted."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from onebyone.clock import now_ms
from onebyone.contracts.lateness import late_words
from onebyone.counter.outages import Outages
from onebyone.counter.shard import Shard
from onebyone.counter.shard_leases import ShardLeases


@dataclass(frozen=True, slots=True)
class CounterHealth:
    """What the counter says of itself; its lag is that of the shards that it owns."""

    checks: dict[str, bool]
    """What must hold for it to count, by name."""
    shards: list[int]
    behind_batches: int
    oldest_uncounted_seconds: float
    waiting_producers: int
    problems: dict[str, str]
    """What is wrong, in words, by name; empty while it is healthy."""


@dataclass(slots=True)
class HealthMeter:
    """Reads the state of the parts of a counter process, which are filled in as the process makes them."""

    uncounted_seconds: float
    """Age of an uncounted event from which on the counter is unhealthy."""
    outages: Outages
    stopping: asyncio.Event
    leases: ShardLeases | None = None
    shards: Sequence[Shard] = field(default_factory=list)

    def measure(self) -> CounterHealth:
        """Return the health now."""
        owned = [shard for shard in self.shards if shard.lease.held.is_set()]
        checks = {
            "report_store": self.leases is not None and self.leases.is_fresh(),
            "stream_server": all(shard.answered.is_set() for shard in owned) and not self.outages.ongoing("stream"),
            "running": not self.stopping.is_set(),
        }
        since = min((shard.oldest_ms for shard in owned if shard.oldest_ms), default=0)
        oldest = max(0, now_ms() - since) / 1000 if since else 0.0
        waiting = sum(shard.waiting for shard in owned)
        problems = {name: "does not answer" for name in ("report_store", "stream_server") if not checks[name]}
        if self.stopping.is_set():
            problems["running"] = "it is stopping"
        if oldest > self.uncounted_seconds:
            problems["counter"] = late_words(oldest, self.uncounted_seconds)
        if waiting:
            problems["missing"] = f"{waiting} producers wait for a missing batch"
        shards = [shard.lease.shard for shard in owned]
        return CounterHealth(checks, shards, sum(shard.backlog for shard in owned), oldest, waiting, problems)
