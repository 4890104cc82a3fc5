"""The files of the last two results, and their comparison."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from loadtests.bench.report import markdown
from loadtests.bench.rows import Column, Table, rows_of

FOLDER = Path(__file__).parents[2] / "bench-results"


def write_result(tables: Sequence[Table], machine: Mapping[str, str], options: Mapping[str, Any], folder: Path) -> Path:
    """Write `latest.json`, after renaming the one that is there to `previous.json`; return its path."""
    folder.mkdir(exist_ok=True)
    latest = folder / "latest.json"
    if latest.exists():
        latest.replace(folder / "previous.json")
    content = {"machine": machine, "options": options, "tables": {table.name: table.to_json() for table in tables}}
    latest.write_text(json.dumps(content, indent=1) + "\n")
    return latest


def read_last_two(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the last result but one, and the last. Raise `FileNotFoundError` unless there are two."""
    before, after = (json.loads((folder / f"{name}.json").read_text()) for name in ("previous", "latest"))
    return before, after


def compare(before: Mapping[str, Any], after: Mapping[str, Any], columns: Mapping[str, Sequence[Column]]) -> str:
    """Return the figures of two results side by side, for the compared ones of `columns` (by table)."""
    lines = [
        f"other {what} than before: {before.get(what)} and {after.get(what)}"
        for what in ("machine", "options")
        if before.get(what) != after.get(what)
    ]
    for name, content in after["tables"].items():
        if name in before["tables"]:
            changes = list(_changes(before["tables"][name], content, columns.get(name, ())))
            if changes:
                lines += [f"## {content['title']}", ""]
                lines += [*markdown([["", "figure", "before", "after", "change"], *changes]), ""]
    return "\n".join(lines)


def _changes(then: Mapping[str, Any], now: Mapping[str, Any], columns: Sequence[Column]) -> Iterator[list[str]]:
    old, new = rows_of(then), rows_of(now)
    by_name = {row.name: row for row in old}
    for row in new:
        for column in columns:
            if not column.compared or row.name not in by_name:
                continue
            before, after = column.value(by_name[row.name], old), column.value(row, new)
            if before is not None and after is not None:
                change = f"{(after / before - 1) * 100:+.0f} %" if before else ""
                yield [row.name, column.heading, f"{before:.{column.digits}f}", f"{after:.{column.digits}f}", change]
