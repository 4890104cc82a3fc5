"""Data of the release before record version 2, made by that release itself, with 40 events of its sample trackers.

`report_store.sql` is its report store with the first 26 counted, `stream_entries.json` what it had shipped of the next
8 and not counted, and `journal.sql` its journal with all 40, the last 6 of them not even shipped.
"""

from __future__ import annotations

import base64
import json
import sqlite3
from contextlib import closing
from pathlib import Path

from onebyone.contracts.batches import Batch

PRODUCER = "3468b499e532547a"
COUNTED, SHIPPED, WRITTEN = 26, 34, 40
"""Batches, of one event each, up to which each of the three files goes."""

_FOLDER = Path(__file__).parent


def create_report_store(path: Path) -> None:
    """Create the SQLite file at `path`."""
    _load("report_store.sql", path)


def create_journal(directory: Path) -> None:
    """Create the journal of an edge process that has ended."""
    directory.mkdir(parents=True, exist_ok=True)
    _load("journal.sql", directory / f"{PRODUCER}.sqlite3")
    (directory / f"{PRODUCER}.lock").touch()


def read_stream_entries() -> list[dict[bytes, bytes]]:
    """Return the entries as XREAD yields them."""
    entries = json.loads((_FOLDER / "stream_entries.json").read_text())
    return [{name.encode(): base64.b64decode(value) for name, value in entry.items()} for entry in entries]


def read_batches(directory: Path) -> list[Batch]:
    """Return the batches of the journal in `directory`."""
    with closing(sqlite3.connect(directory / f"{PRODUCER}.sqlite3")) as journal:
        rows = journal.execute("SELECT seq, events, payload FROM batches ORDER BY seq").fetchall()
    return [Batch(PRODUCER, *row) for row in rows]


def _load(name: str, path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.executescript((_FOLDER / name).read_text())
