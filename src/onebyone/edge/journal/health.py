"""Whether this process can record, in words for `/readyz`: its journal, the last batches, and the disk without them."""

from __future__ import annotations

import asyncio
import time

import structlog

from onebyone.edge.journal.disk_probe import HUNG_SECONDS, PROBE_SECONDS, RETRY_SECONDS, DiskProbe
from onebyone.edge.journal.group_commit import GroupCommit
from onebyone.edge.journal.shipper import POLL_SECONDS, Shipper

_log = structlog.get_logger()


def recording_problem(commits: GroupCommit, probe: DiskProbe) -> str:
    """Return why no event can be recorded now; empty if events can be recorded. Call it on the loop's thread."""
    if commits.fatal:
        return f"the journal has failed, this process ends: {commits.refusal}"
    if probe.gone:
        return "the files of the journal were deleted or moved away: restart follows once what they held is shipped"
    if not commits.opened:
        return f"no journal could be created yet{f': {probe.error}' if probe.error else ''}"
    waiting = max(commits.waiting_seconds, probe.waiting_seconds)
    if waiting > HUNG_SECONDS:
        return f"the disk has not answered for {waiting:.0f} s"
    if is_proven(commits):
        return ""
    if probe.error:
        return f"the disk of the journals takes no data: {probe.error}"
    if commits.refused_at > probe.passed_at:
        return f"the journal refused the last events: {commits.refusal}"
    return ""


def is_proven(commits: GroupCommit) -> bool:
    """Return whether the disk has taken the last events, and that within `PROBE_SECONDS`."""
    return commits.recording and time.monotonic() - commits.synced_at < PROBE_SECONDS


async def await_loss(probe: DiskProbe, commits: GroupCommit, shipper: Shipper) -> None:
    """Return once the files of the journal are gone and the stream has all that they held.

    A new process then creates a new journal. This one refuses events in the meantime, because a crash would lose them.
    """
    while not probe.gone:  # noqa: ASYNC110
        await asyncio.sleep(RETRY_SECONDS)
    commits.refuse_all()
    _log.error("the files of the journal were deleted or moved away: refusing events, then restarting")
    # What was measured before the last batch says nothing about it.
    await asyncio.sleep(2 * POLL_SECONDS)
    while shipper.backlog.batches:  # noqa: ASYNC110
        await asyncio.sleep(RETRY_SECONDS)
