"""`onebyone missing list` and `give-up`: JSON lines about producers whose batches wait for a missing one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from onebyone.commands.options import write_error
from onebyone.commands.report_store import run_on_report_store
from onebyone.counter import missing
from onebyone.counter.missing import Gap, NotGivenUp
from onebyone.settings import Settings


def print_missing(settings: Settings) -> int:
    """Print the producers with a missing batch, one line each, and return the exit code."""

    async def rows(engine: AsyncEngine) -> int:
        for gap in await missing.list_gaps(engine):
            print(json.dumps(_gap_row(settings, gap)), flush=True)
        return 0

    return run_on_report_store(settings, rows)


def give_up_batches(settings: Settings, producers: Sequence[str]) -> int:
    """Give up the missing batches of producers, one line each; return the exit code, 1 when any was refused."""

    async def rows(engine: AsyncEngine) -> int:
        refused = 0
        for producer in producers:
            try:
                if _has_journal_here(settings, producer):
                    raise NotGivenUp(f"the journal of producer {producer} is here: start an edge on this data folder")
                gap = await missing.give_up(engine, producer)
            except NotGivenUp as reason:
                write_error(str(reason))
                refused = 1
            else:
                print(json.dumps({"producer": producer, "lost_from": gap.first, "lost_to": gap.last}), flush=True)
        return refused

    return run_on_report_store(settings, rows)


def _has_journal_here(settings: Settings, producer: str) -> bool:
    return producer.isalnum() and (settings.journal_dir / f"{producer}.sqlite3").exists()


def _gap_row(settings: Settings, gap: Gap) -> dict[str, Any]:
    return {
        "producer": gap.producer,
        "shard": gap.shard,
        "missing_from": gap.first,
        "seen_up_to": gap.last,
        "silent_seconds": gap.silent_ms // 1000,
        "journal_here": _has_journal_here(settings, gap.producer),
    }
