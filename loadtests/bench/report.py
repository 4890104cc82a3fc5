"""Tables as Markdown with aligned columns."""

from __future__ import annotations

from collections.abc import Sequence

from loadtests.bench.rows import NOISY_CORES, Table

_NOISE = f"!: in more than half of the rounds other processes used over {NOISY_CORES} cores; read the row with care"


def table_text(table: Table) -> str:
    """Return title, rows and notes. If it was measured, the last column tells how many cores others used meanwhile."""
    watched = any(row.others for row in table.rows)
    lines = [["", *(column.heading for column in table.columns), *(["other cores"] if watched else [])]]
    for row in table.rows:
        cells = [row.name, *(column.text(row, table.rows) for column in table.columns)]
        if watched:
            middle = sorted(row.others)[len(row.others) // 2] if row.others else 0.0
            cells.append(f"{middle:.2f}{' !' if row.noisy else '  '}" if row.others else "")
        lines.append(cells)
    notes = [*table.notes, *([_NOISE] if any(row.noisy for row in table.rows) else [])]
    return "\n".join([f"## {table.title}", "", *markdown(lines), *(["", *notes] if notes else []), ""])


def markdown(lines: Sequence[Sequence[str]]) -> list[str]:
    """Return a table, whose first line has the headings and whose first column is text; the others are figures."""
    widths = [max(3, *(len(line[at]) for line in lines)) for at in range(len(lines[0]))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    padded = [
        [line[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True))]
        for line in [lines[0], rule, *lines[1:]]
    ]
    return [f"| {' | '.join(line)} |" for line in padded]
