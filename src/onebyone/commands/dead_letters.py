"""`onebyone dead-letters list` and `replay`: JSON lines that are safe on a terminal, whatever a letter holds."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from onebyone.counter import dead_letters
from onebyone.counter.dead_letters import Letter
from onebyone.runtime import sql
from onebyone.settings import Settings

RAW_SHOWN = 2000
"""Bytes of a letter that are printed unless all are asked for."""


def show(settings: Settings, reason: str | None, limit: int | None, *, whole: bool) -> int:
    """Prints letters, one line each; the exit code."""

    async def rows(engine: AsyncEngine) -> AsyncIterator[dict[str, Any]]:
        async for letter in dead_letters.list_letters(engine, reason, limit):
            yield _row(letter, None if whole else RAW_SHOWN)

    return _print(settings, rows)


def replay(settings: Settings, reason: str | None, limit: int | None) -> int:
    """Counts letters again; prints what became of each, and how many of each outcome at the end; the exit code."""

    async def rows(engine: AsyncEngine) -> AsyncIterator[dict[str, Any]]:
        outcomes: Counter[str] = Counter()
        counted = 0
        async for done in dead_letters.replay(engine, reason, limit):
            outcomes[done.outcome.value] += 1
            counted += done.events
            row = {"id": done.id, "outcome": done.outcome.value, "events": done.events, "new_letters": done.letters}
            yield row | ({"detail": done.detail} if done.detail else {})
        yield {"letters": outcomes.total(), "events": counted, "outcomes": dict(outcomes)}

    return _print(settings, rows)


def _print(settings: Settings, rows: Callable[[AsyncEngine], AsyncIterator[dict[str, Any]]]) -> int:
    async def run() -> None:
        engine = sql.create_engine(settings.report_store_url)
        try:
            async for row in rows(engine):
                print(_safe(row), flush=True)
        finally:
            await engine.dispose()

    if sql.is_missing(settings.report_store_url):
        print(f"onebyone: there is no report store at {settings.report_store_url}", file=sys.stderr)
        return 1
    try:
        asyncio.run(run())
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The interpreter flushes standard output once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (SQLAlchemyError, OSError) as error:
        print(f"onebyone: the report store cannot be used: {error!r:.300}", file=sys.stderr)
        return 1
    return 0


def _row(letter: Letter, most: int | None) -> dict[str, Any]:
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


def _safe(row: dict[str, Any]) -> str:
    """One line of printable ASCII: JSON escapes all other characters but DEL."""
    return json.dumps(row, ensure_ascii=True).replace("\x7f", "\\u007f")
