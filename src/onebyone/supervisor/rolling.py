"""The rolling restart: one process after the other gets a successor, and no request notices."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Sequence

from onebyone.supervisor import report
from onebyone.supervisor.fault import StartFault
from onebyone.supervisor.roles import Copy

READY_SECONDS = 60.0
"""A successor that is not ready by then is given up, and what runs goes on."""


async def restart(groups: Sequence[list[Copy]], drain_seconds: float, hurry: asyncio.Event) -> None:
    """Restarts the processes of `groups` in order, and keeps `groups` true at every moment.

    Where a port is served the successor is ready before the old process leaves; they share the listening socket.
    Elsewhere (the counter) the old one ends first, because two would only undo each other's work. Stops at the first
    successor that does not come up.
    """
    for group in groups:
        for old in [copy for copy in group if not copy.once]:
            if not await _replace(group, old, drain_seconds, hurry):
                report.error("rolling restart given up", process=old.name)
                return
    report.info("rolling restart done")


async def _replace(group: list[Copy], old: Copy, drain_seconds: float, hurry: asyncio.Event) -> bool:
    new = old.successor()
    if not old.serves:
        await old.stop(drain_seconds, hurry, gently=signal.SIGHUP)
        group[group.index(old)] = new
        return await _comes_up(new)
    group.append(new)
    if not await _comes_up(new):
        await new.stop(0, hurry)
        group.remove(new)
        return False
    await old.stop(drain_seconds, hurry, gently=signal.SIGHUP)
    group.remove(old)
    return True


async def _comes_up(new: Copy) -> bool:
    try:
        await new.begin()
    except StartFault as fault:
        report.error("process cannot start", process=new.name, reason=str(fault))
        return False
    waits = [asyncio.create_task(event.wait()) for event in (new.ready, new.refused)]
    try:
        await asyncio.wait(waits, timeout=READY_SECONDS, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
    return new.ready.is_set()
