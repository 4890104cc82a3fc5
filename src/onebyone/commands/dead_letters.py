"""`onebyone dead-letters list` and `replay`: JSON lines that are safe on a terminal, whatever a dead letter holds."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from onebyone.commands.report_store import run_on_report_store
from onebyone.counter import dead_letters
from onebyone.counter.classification.list_folder import ListFolder
from onebyone.counter.classification.remembered_classes import RememberedClasses
from onebyone.counter.dead_letters import Letter
from onebyone.settings import Settings

RAW_SHOWN = 2000
"""Bytes of a dead letter that are printed by default: enough for any event, while a broken batch may be a megabyte."""


def print_dead_letters(settings: Settings, reason: str | None, limit: int | None, *, whole: bool) -> int:
    """Print dead letters, one line each, and return the exit code."""

    async def rows(engine: AsyncEngine) -> AsyncIterator[dict[str, Any]]:
        async for letter in dead_letters.list_letters(engine, reason, limit):
            yield _letter_row(letter, None if whole else RAW_SHOWN)

    return _print_rows(settings, rows)


def replay_dead_letters(settings: Settings, reason: str | None, limit: int | None) -> int:
    """Count dead letters again, print the outcome of each and the totals at the end, and return the exit code."""

    async def rows(engine: AsyncEngine) -> AsyncIterator[dict[str, Any]]:
        outcomes: Counter[str] = Counter()
        counted = 0
        folder = ListFolder(settings.network_lists_folder, settings.network_lists_days)
        folder.refresh()
        classes = RememberedClasses(folder.classifier)
        async for replayed in dead_letters.replay_letters(engine, reason, limit, classes=classes):
            outcomes[replayed.outcome.value] += 1
            counted += replayed.events
            row = {
                "id": replayed.id,
                "outcome": replayed.outcome.value,
                "events": replayed.events,
                "new_letters": replayed.letters,
            }
            yield row | ({"detail": replayed.detail} if replayed.detail else {})
        yield {"letters": outcomes.total(), "events": counted, "outcomes": dict(outcomes)}

    return _print_rows(settings, rows)


def _print_rows(settings: Settings, rows: Callable[[AsyncEngine], AsyncIterator[dict[str, Any]]]) -> int:
    async def run(engine: AsyncEngine) -> int:
        try:
            async for row in rows(engine):
                print(_json_line(row), flush=True)
        except BrokenPipeError:
            # The interpreter flushes standard output once more when it exits.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0

    try:
        return run_on_report_store(settings, run)
    except KeyboardInterrupt:
        return 130


def _letter_row(letter: Letter, most: int | None) -> dict[str, Any]:
    return {
        "id": letter.id,
        "found_at": datetime.fromtimestamp(letter.found_at / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S"),
        "shard": letter.shard,
        "stream_id": f"{letter.stream_ms}-{letter.stream_seq}",
        "producer": letter.producer,
        "seq": letter.seq,
        "line": letter.line,
        "reason": letter.reason,
        "detail": letter.detail,
        "raw_bytes": len(letter.raw),
        "raw": letter.raw[:most].decode("latin-1"),
    }


def _json_line(row: dict[str, Any]) -> str:
    """Return one line of printable ASCII: JSON escapes every other character except DEL."""
    return json.dumps(row, ensure_ascii=True).replace("\x7f", "\\u007f")
