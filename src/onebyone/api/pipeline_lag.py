"""How far the counter is, as the API can see it: positions and losses in SQL, and what is left in the streams."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from onebyone.clock import now_ms
from onebyone.contracts import keys
from onebyone.report_store.tables import dead_letters, holes, positions, producers
from onebyone.runtime import redis_client, sql
from onebyone.settings import Settings

REPLY_SECONDS = 2.0
KEEP_SECONDS = 1.0
"""An answer is given again for so long, so that asking often costs nothing."""
LATE_SECONDS = 60.0
"""Red when a batch waits in a stream for longer."""


@dataclass(frozen=True, slots=True)
class PipelineLag:
    """The answer of `/sinkz` on the API; None: not known."""

    healthy: bool
    report_store_answers: bool
    stream_answers: bool | None
    """None: this API has no `ONEBYONE_STREAM_URL` and cannot ask."""
    uncounted_batches: int | None = None
    oldest_uncounted_seconds: float | None = None
    last_commit_seconds: float | None = None
    """Since the counter last counted a batch; no sign of a fault where nothing arrives."""
    waiting_producers: int | None = None
    """Producers of which a batch is missing, so that later ones wait."""
    lost_batches: int | None = None
    dead_letters: int | None = None


class PipelineLagMeter:
    """Measures at most once in `KEEP_SECONDS`."""

    def __init__(self, settings: Settings, report_store: AsyncEngine) -> None:
        self._engine = report_store
        self._shards = settings.shards
        self._stream: Any = None
        if settings.stream_url:
            self._stream = redis_client.connect(settings.stream_url, reply_seconds=REPLY_SECONDS)
        self._turn = asyncio.Lock()
        self._measured = float("-inf")
        self._sink = PipelineLag(False, False, None)

    async def measure(self) -> PipelineLag:
        """How far the counter is now."""
        async with self._turn:
            if time.monotonic() - self._measured >= KEEP_SECONDS:
                self._sink = await self._ask()
                self._measured = time.monotonic()
        return self._sink

    async def close(self) -> None:
        """Closes its connections."""
        if self._stream is not None:
            await self._stream.aclose()

    async def _ask(self) -> PipelineLag:
        stream_answers = None if self._stream is None else False
        try:
            places, facts = await asyncio.wait_for(self._counted(), REPLY_SECONDS)
        except (SQLAlchemyError, OSError):
            return PipelineLag(False, False, stream_answers)
        batches: int | None = None
        oldest: float | None = None
        if self._stream is not None:
            try:
                batches, oldest = await self._uncounted(places)
                stream_answers = True
            except redis_client.Unavailable:
                return PipelineLag(False, True, False, **facts)
        healthy = (oldest or 0.0) <= LATE_SECONDS and not facts["waiting_producers"]
        return PipelineLag(healthy, True, stream_answers, batches, oldest, **facts)

    async def _counted(self) -> tuple[dict[int, str], dict[str, Any]]:
        """Position by shard, and what the report store says of itself."""
        lost = func.coalesce(func.sum(holes.c.to_seq - holes.c.from_seq + 1), 0)
        waiting = select(func.count()).select_from(producers).where(producers.c.seen > producers.c.seq)
        async with sql.reading(self._engine) as connection:
            rows = (await connection.execute(select(positions))).all()
            last = (await connection.execute(select(func.max(producers.c.updated_at)))).scalar()
            facts = {
                "last_commit_seconds": max(0, now_ms() - last) / 1000 if last else None,
                "waiting_producers": (await connection.execute(waiting)).scalar_one(),
                "lost_batches": int((await connection.execute(select(lost))).scalar_one()),
                "dead_letters": (await connection.execute(select(func.count()).select_from(dead_letters))).scalar_one(),
            }
        places = dict.fromkeys(range(self._shards), "0-0")
        return places | {row.shard: f"{row.stream_ms}-{row.stream_seq}" for row in rows}, facts

    async def _uncounted(self, places: dict[int, str]) -> tuple[int, float]:
        """Batches left in the streams, and the age of the oldest. The counter trims what it has counted."""
        pipe = self._stream.pipeline(transaction=False)
        for shard, place in sorted(places.items()):
            pipe.xlen(keys.events(shard))
            pipe.xrange(keys.events(shard), f"({place}", count=1)
        replies = await pipe.execute()
        oldest = now = now_ms()
        batches = 0
        for length, first in zip(replies[::2], replies[1::2], strict=True):
            if first:
                batches += length
                oldest = min(oldest, int(first[0][0].partition(b"-")[0]))
        return batches, (now - oldest) / 1000
