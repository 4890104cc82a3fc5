"""The journals of a data folder, read while their owners write them."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from onebyone.check.finding import Finding

SUBJECT = "journals"


@dataclass(frozen=True, slots=True)
class JournalState:
    """Lowest and highest batch that a journal keeps; (1, 0) when it keeps none."""

    producer: str
    shard: int
    low: int
    high: int


def look(directory: Path) -> tuple[list[Finding], list[JournalState]]:
    """What is wrong with the files, and what the readable ones keep."""
    if not directory.is_dir():
        return [Finding(SUBJECT, f"no folder {directory}: no edge has run on this data dir", skipped=True)], []
    found: list[Finding] = []
    states: list[JournalState] = []
    for path in sorted(directory.glob("*.sqlite3")):
        try:
            states.append(_read(path))
        except (sqlite3.Error, ValueError) as error:
            # An edge may have finished with it just now.
            if path.exists():
                found.append(_broken(path, error))
        if path.exists() and not path.with_suffix(".lock").exists():
            remedy = f"make an empty file {path.with_suffix('.lock')}: an edge on this folder then ships it"
            found.append(Finding(SUBJECT, f"{path.name} has no lock file, so no edge will ever ship it", remedy))
    for path in sorted(directory.glob("*.corrupt")):
        remedy = f"copy it, try `sqlite3 {path.name} .recover`; delete it once you are done"
        found.append(Finding(SUBJECT, f"{path.name} was unreadable and set aside with what it holds", remedy))
    if not found:
        held = _held_locks()
        in_use = sum(_inode(directory / f"{state.producer}.lock") in held for state in states)
        dead = len(states) - in_use
        waits = f", {dead} of dead processes wait for an edge on this folder" if dead else ""
        found.append(Finding(SUBJECT, f"{len(states)} readable and whole, {in_use} in use{waits}"))
    return found, states


def _read(path: Path) -> JournalState:
    with contextlib.closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=5.0)) as journal:
        verdict = journal.execute("PRAGMA quick_check(1)").fetchone()[0]
        if verdict != "ok":
            raise sqlite3.DatabaseError(verdict)
        row = journal.execute(
            "SELECT (SELECT shard FROM meta), (SELECT min(seq) FROM batches), (SELECT max(seq) FROM batches)"
        ).fetchone()
    if row[0] is None:
        raise sqlite3.DatabaseError("it does not say its shard")
    return JournalState(path.stem, row[0], row[1] or 1, row[2] or 0)


def _broken(path: Path, error: Exception) -> Finding:
    return Finding(
        SUBJECT,
        f"{path.name} cannot be read: {error}",
        "look at the disk (dmesg, SMART); copy the file before anything else; an edge that adopts it sets it aside as "
        ".corrupt and goes on",
    )


def _inode(path: Path) -> int:
    try:
        return path.stat().st_ino
    except OSError:
        return 0


def _held_locks() -> set[int]:
    """Inodes that somebody holds a lock on. The locks are not tried: that could stop an edge that starts just now."""
    return set(_inodes(Path("/proc/locks")))


def _inodes(table: Path) -> Iterator[int]:
    with contextlib.suppress(OSError):
        for line in table.read_text().splitlines():
            parts = line.split()
            if len(parts) > 5 and "FLOCK" in parts:
                yield int(parts[5].rpartition(":")[2])
