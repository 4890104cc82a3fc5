"""One edge process, apart from its responses."""

from __future__ import annotations

import asyncio
import gc
from typing import cast

import pytest

from onebyone.edge import __main__ as process
from onebyone.runtime.role import Lifeline

pytestmark = pytest.mark.anyio


class Supervisor:
    """Notes how many objects the garbage collector no longer walks through when the process reports ready."""

    frozen = -1

    def report_ready(self) -> None:
        self.frozen = gc.get_freeze_count()


async def test_objects_of_a_ready_process_are_frozen() -> None:
    gc.unfreeze()
    supervisor, needed = Supervisor(), asyncio.Event()
    announcing = asyncio.create_task(process._announce_ready(cast(Lifeline, supervisor), needed))
    await asyncio.sleep(0.01)
    assert supervisor.frozen == -1, "an event is not set yet"
    needed.set()
    await announcing
    assert supervisor.frozen > 1000
    gc.unfreeze()
