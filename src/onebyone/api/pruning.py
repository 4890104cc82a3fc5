"""Deletes the sessions and the reports of the configuration store that are past their retention."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from sqlalchemy.exc import SQLAlchemyError

from onebyone.runtime.outage import Outage

EVERY_SECONDS = 300.0
"""Retention is in hours, so a few minutes are soon enough."""
STEP_SECONDS = 0.1
"""Pause between steps, in which requests write."""

Step = Callable[[], Awaitable[bool]]
"""Deletes a few rows, and returns whether there may be more."""


async def prune_forever(steps: Sequence[Step]) -> None:
    """Prune every `EVERY_SECONDS` forever; after a failure, try again in the next round."""
    outage = Outage("a store is unreachable, pruning is paused", "pruning resumed")
    while True:
        for step in steps:
            try:
                more = True
                while more:
                    more = await step()
                    await asyncio.sleep(STEP_SECONDS)
            except (SQLAlchemyError, OSError) as error:
                outage.failed(error, step)
            else:
                outage.succeeded(step)
        await asyncio.sleep(EVERY_SECONDS)
