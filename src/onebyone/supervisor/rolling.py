"""The rolling restart: each process is replaced by a successor, one after the other, without a failed request."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Sequence

import structlog

from onebyone.supervisor.fault import StartFault
from onebyone.supervisor.roles import RoleProcess

READY_SECONDS = 60.0
"""A successor that is not ready by then is stopped, and the old process stays; a start takes seconds."""

_log = structlog.get_logger()


async def restart_all(groups: Sequence[list[RoleProcess]], drain_seconds: float, hurry: asyncio.Event) -> None:
    """Replace the processes of `groups` in order, keeping `groups` up to date at every moment.

    Where a port is served the successor is ready before the old process leaves; they share the listening socket.
    Elsewhere (a counter without a port) the old process ends first. Stop at the first successor that does not become
    ready.
    """
    for group in groups:
        for old in [process for process in group if not process.one_shot]:
            if not await _replace(group, old, drain_seconds, hurry):
                _log.error("rolling restart given up", process=old.name)
                return
    _log.info("rolling restart done")


async def _replace(group: list[RoleProcess], old: RoleProcess, drain_seconds: float, hurry: asyncio.Event) -> bool:
    new = old.successor()
    if not old.serves:
        await old.stop(drain_seconds, hurry, gently=signal.SIGHUP)
        group[group.index(old)] = new
        return await _becomes_ready(new)
    group.append(new)
    if not await _becomes_ready(new):
        await new.stop(0, hurry)
        group.remove(new)
        return False
    await old.stop(drain_seconds, hurry, gently=signal.SIGHUP)
    group.remove(old)
    return True


async def _becomes_ready(new: RoleProcess) -> bool:
    try:
        await new.begin()
    except StartFault as fault:
        _log.error("process cannot start", process=new.name, reason=str(fault))
        return False
    await new.settled(READY_SECONDS)
    for reason in new.refusals:
        _log.error("process cannot start", process=new.name, reason=reason)
    return new.ready.is_set()
