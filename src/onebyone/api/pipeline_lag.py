"""How far the counter is behind the edges: its positions and losses in SQL, and what is left in the streams."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from onebyone.clock import now_ms
from onebyone.contracts import keys
from onebyone.contracts.lateness import late_words
from onebyone.report_store.tables import counters, dead_letters, holes, positions, producers
from onebyone.runtime import redis_client, sql
from onebyone.settings import Settings

REPLY_SECONDS = 2.0
"""How long to wait for a store; a probe that waits longer gives up first."""
KEEP_SECONDS = 1.0
"""How long one measurement serves all requests, so that frequent probes cost nothing."""
LAST_SECONDS = 5.0
"""From this age on a measurement is made again for `/readyz`, whose answer does not wait for it."""


@dataclass(frozen=True, slots=True)
class PipelineLag:
    """The response of `/sinkz`; None: not known."""

    healthy: bool
    report_store_answers: bool
    stream_answers: bool | None
    """None: this API has no `ONEBYONE_STREAM_URL`, so it cannot ask."""
    uncounted_batches: int | None = None
    oldest_uncounted_seconds: float | None = None
    counter_seconds: float | None = None
    """Since a counter last ran, by the clock of the report store."""
    last_commit_seconds: float | None = None
    """Since the counter last counted a batch; a great number is no fault where no events arrive."""
    waiting_producers: int | None = None
    """Producers with a missing batch, for which their later batches wait."""
    lost_batches: int | None = None
    dead_letters: int | None = None
    problems: dict[str, str] = field(default_factory=dict)
    """What is wrong, in words, by name; empty while healthy."""


class PipelineLagMeter:
    """Measures the lag at most once in `KEEP_SECONDS`."""

    def __init__(self, settings: Settings, report_store: AsyncEngine) -> None:
        self._report_store = report_store
        self._shards = settings.shards
        self._limit = settings.uncounted_seconds
        self._stream: Any = None
        if settings.stream_url:
            self._stream = redis_client.connect(settings.stream_url, reply_seconds=REPLY_SECONDS)
        self._lock = asyncio.Lock()
        self._measured = float("-inf")
        self._lag: PipelineLag | None = None
        self._measuring: asyncio.Task[PipelineLag] | None = None

    async def measure(self) -> PipelineLag:
        """Return the lag now; a store that does not answer makes it unhealthy."""
        async with self._lock:
            if self._lag is None or time.monotonic() - self._measured >= KEEP_SECONDS:
                self._lag = await self._measure()
                self._measured = time.monotonic()
            return self._lag

    def last_problems(self) -> dict[str, str]:
        """Return what was wrong at the last measurement, without waiting for the next, which this may begin."""
        idle = self._measuring is None or self._measuring.done()
        if idle and time.monotonic() - self._measured >= LAST_SECONDS:
            self._measuring = asyncio.create_task(self.measure())
        return self._lag.problems if self._lag is not None else {}

    async def close(self) -> None:
        """Close the connections."""
        if self._measuring is not None:
            self._measuring.cancel()
            await asyncio.wait({self._measuring})
        if self._stream is not None:
            await self._stream.aclose()

    async def _measure(self) -> PipelineLag:
        stream_answers = None if self._stream is None else False
        try:
            places, facts = await asyncio.wait_for(self._read_report_store(), REPLY_SECONDS)
        except (SQLAlchemyError, OSError):
            return PipelineLag(False, False, stream_answers, problems={"report_store": "does not answer"})
        batches: int | None = None
        oldest: float | None = None
        if self._stream is not None:
            try:
                batches, oldest = await self._read_streams(places)
                stream_answers = True
            except redis_client.Unavailable:
                problems = {"stream_server": "does not answer"}
                return PipelineLag(False, True, False, **facts, problems=problems)
        problems = self._find_problems(oldest or 0.0, facts)
        return PipelineLag(not problems, True, stream_answers, batches, oldest, **facts, problems=problems)

    def _find_problems(self, oldest: float, facts: dict[str, Any]) -> dict[str, str]:
        problems = {}
        silent = facts["counter_seconds"]
        if oldest > self._limit:
            problems["counter"] = late_words(oldest, self._limit)
        elif silent is not None and silent > self._limit:
            problems["counter"] = f"no counter has run for {silent:.0f} s, more than {self._limit:g} s"
        if facts["waiting_producers"]:
            problems["missing"] = f"{facts['waiting_producers']} producers wait for a missing batch"
        return problems

    async def _read_report_store(self) -> tuple[dict[int, str], dict[str, Any]]:
        """Return the position of each shard, and the counts of the report store."""
        lost = func.coalesce(func.sum(holes.c.to_seq - holes.c.from_seq + 1), 0)
        waiting = select(func.count()).select_from(producers).where(producers.c.seen > producers.c.seq)
        async with sql.reading(self._report_store) as connection:
            rows = (await connection.execute(select(positions))).all()
            now = sql.store_clock_ms(connection.dialect.name)
            beaten = (await connection.execute(select(now - func.max(counters.c.beat_at)))).scalar()
            last = (await connection.execute(select(func.max(producers.c.updated_at)))).scalar()
            facts = {
                "counter_seconds": max(0, beaten) / 1000 if beaten is not None else None,
                "last_commit_seconds": max(0, now_ms() - last) / 1000 if last else None,
                "waiting_producers": (await connection.execute(waiting)).scalar_one(),
                "lost_batches": int((await connection.execute(select(lost))).scalar_one()),
                "dead_letters": (await connection.execute(select(func.count()).select_from(dead_letters))).scalar_one(),
            }
        places = dict.fromkeys(range(self._shards), "0-0")
        return places | {row.shard: f"{row.stream_ms}-{row.stream_seq}" for row in rows}, facts

    async def _read_streams(self, places: dict[int, str]) -> tuple[int, float]:
        """Return how many batches are left in the streams, and the age of the oldest.

        The counter trims the batches that it has counted.
        """
        pipe = self._stream.pipeline(transaction=False)
        for shard, place in sorted(places.items()):
            pipe.xlen(keys.events_key(shard))
            pipe.xrange(keys.events_key(shard), f"({place}", count=1)
        replies = await pipe.execute()
        oldest = now = now_ms()
        batches = 0
        for length, first in zip(replies[::2], replies[1::2], strict=True):
            if first:
                batches += length
                oldest = min(oldest, int(first[0][0].partition(b"-")[0]))
        return batches, (now - oldest) / 1000
