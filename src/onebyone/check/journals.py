"""The journals of a data folder, read while their owners write to them."""

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
    """The lowest and the highest batch that a journal keeps; (1, 0) when it keeps none."""

    producer: str
    shard: int
    low: int
    high: int


def check_journals(directory: Path) -> tuple[list[Finding], list[JournalState]]:
    """Return the state of the files, and what the readable ones keep."""
    if not directory.is_dir():
        return [Finding(SUBJECT, f"no folder {directory}: no edge has run on this data folder", skipped=True)], []
    findings: list[Finding] = []
    states: list[JournalState] = []
    for path in sorted(directory.glob("*.sqlite3")):
        try:
            states.append(_read_state(path))
        except (sqlite3.Error, ValueError) as error:
            # An edge may have deleted it just now, once everything in it was counted.
            if path.exists():
                findings.append(_broken_file(path, error))
        if path.exists() and not path.with_suffix(".lock").exists():
            remedy = f"make an empty file {path.with_suffix('.lock')}: an edge on this folder then ships it"
            findings.append(Finding(SUBJECT, f"{path.name} has no lock file, so no edge will ever ship it", remedy))
    for path in sorted(directory.glob("*.corrupt")):
        remedy = f"copy it, try `sqlite3 {path.name} .recover`; delete it once you are done"
        findings.append(Finding(SUBJECT, f"{path.name} was unreadable and set aside with all it holds", remedy))
    if not findings:
        held = _locked_inodes()
        in_use = sum(_inode(directory / f"{state.producer}.lock") in held for state in states)
        ended = len(states) - in_use
        waits = f", {ended} of ended processes, which the next edge on this folder takes over" if ended else ""
        findings.append(Finding(SUBJECT, f"{len(states)} readable and whole, {in_use} in use{waits}"))
    return findings, states


def _read_state(path: Path) -> JournalState:
    with contextlib.closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=5.0)) as journal:
        verdict = journal.execute("PRAGMA quick_check(1)").fetchone()[0]
        if verdict != "ok":
            raise sqlite3.DatabaseError(verdict)
        row = journal.execute(
            "SELECT (SELECT shard FROM meta), (SELECT min(seq) FROM batches), (SELECT max(seq) FROM batches)"
        ).fetchone()
    if row[0] is None:
        raise sqlite3.DatabaseError("it does not name its shard")
    return JournalState(path.stem, row[0], row[1] or 1, row[2] or 0)


def _broken_file(path: Path, error: Exception) -> Finding:
    return Finding(
        SUBJECT,
        f"{path.name} cannot be read: {error}",
        "copy the file first, then look at the disk (dmesg, SMART); an adopting edge sets it aside as .corrupt and "
        "continues",
    )


def _inode(path: Path) -> int:
    try:
        return path.stat().st_ino
    except OSError:
        return 0


def _locked_inodes() -> set[int]:
    """Return the inodes that are locked. Taking the locks to find out could disturb an edge that starts just now."""
    return set(_parse_locks(Path("/proc/locks")))


def _parse_locks(table: Path) -> Iterator[int]:
    with contextlib.suppress(OSError):
        for line in table.read_text().splitlines():
            parts = line.split()
            if len(parts) > 5 and "FLOCK" in parts:
                yield int(parts[5].rpartition(":")[2])
