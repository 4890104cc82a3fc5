"""Delete what the report store keeps for a limited time, in steps so small that counting never waits for them.

Each kind of rows is pruned on its own: neither a backlog nor a failure of one delays the others.
"""

from __future__ import annotations

import asyncio

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from onebyone.clock import now_ms
from onebyone.counter.retention import Retention
from onebyone.counter.retention_steps import Forget, RetentionSteps
from onebyone.runtime.outage import Outage
from onebyone.runtime.redis_client import Unavailable

EVERY_SECONDS = 300.0
"""Retention is in days, so a few minutes are soon enough for a round that looks at each member."""
STEP_SECONDS = 0.05
"""Pause between steps, in which shards commit."""


async def prune_forever(engine: AsyncEngine, retention: Retention, writers: asyncio.Semaphore, forget: Forget) -> None:
    """Prune every `EVERY_SECONDS` forever; after a failure, try again in the next round."""
    outage = Outage("a store is unreachable, pruning is paused", "pruning resumed")
    while True:
        try:
            await prune(engine, retention, writers, forget)
        except (SQLAlchemyError, OSError, *Unavailable) as error:
            outage.failed(error)
        else:
            outage.succeeded()
        await asyncio.sleep(EVERY_SECONDS)


async def prune(engine: AsyncEngine, retention: Retention, writers: asyncio.Semaphore, forget: Forget) -> None:
    """Delete the rows that are past their retention, one step of each kind in turn; raise the first failure last."""
    waiting = RetentionSteps(engine, writers, retention, now_ms(), forget).all()
    failures: list[Exception] = []
    while waiting:
        for steps in list(waiting):
            try:
                await anext(steps)
            except StopAsyncIteration:
                waiting.remove(steps)
            except (SQLAlchemyError, OSError, *Unavailable) as error:
                waiting.remove(steps)
                failures.append(error)
            else:
                await asyncio.sleep(STEP_SECONDS)
    if failures:
        raise failures[0]
