"""One edge process, apart from what it answers."""

from __future__ import annotations

import asyncio
import gc
from typing import cast

import pytest

from onebyone.edge import __main__ as process
from onebyone.runtime.role import Lifeline

pytestmark = pytest.mark.anyio


class Supervisor:
    """Hears that the process may get traffic, and what the collector looks through from then on."""

    frozen = -1

    def ready(self) -> None:
        self.frozen = gc.get_freeze_count()


async def test_what_is_there_when_it_is_ready_is_not_looked_through_again() -> None:
    gc.unfreeze()
    supervisor, needed = Supervisor(), asyncio.Event()
    announcing = asyncio.create_task(process._announce(cast(Lifeline, supervisor), needed))
    await asyncio.sleep(0.01)
    assert supervisor.frozen == -1, "something is still missing"
    needed.set()
    await announcing
    assert supervisor.frozen > 1000
    gc.unfreeze()
