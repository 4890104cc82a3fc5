"""Draw the picture of docs/performance.md: where the CPU time of a request goes, one bar per server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from xml.sax.saxutils import escape

from loadtests.bench.rows import Row, rows_of

PARTS = {"loop, user": "#4878a8", "loop, kernel": "#9dbbd6", "other threads": "#e0a458", "kernel threads": "#b8b8b8"}
"""The measures of the table `breakdown` in the order of the bar, with their colours."""
_LEFT, _WIDTH, _TOP, _STEP = 190, 720, 44, 32


def svg(result: Mapping[str, Any]) -> str:
    """Return the picture of a result (`results.write_result`) as an SVG document."""
    rows = [row for row in rows_of(result["tables"]["breakdown"]) if row.values]
    rows.sort(key=_total)
    height = _TOP + _STEP * len(rows) + 24
    scale = (_WIDTH - _LEFT - 60) / max(map(_total, rows))
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif" '
        'font-size="13" role="img">',
        "<title>CPU time of one request in microseconds, by server and by part</title>",
        f'<rect width="{_WIDTH}" height="{height}" fill="#fff"/>',
    ]
    for number, (part, colour) in enumerate(PARTS.items()):
        left = _LEFT + 130 * number
        lines.append(f'<rect x="{left}" y="12" width="12" height="12" fill="{colour}"/>')
        lines.append(f'<text x="{left + 17}" y="23" fill="#222">{part}</text>')
    for number, row in enumerate(rows):
        lines += _bar(row, _TOP + _STEP * number, scale)
    rounds = result["options"]["rounds"]
    lines.append(
        f'<text x="{_LEFT}" y="{height - 8}" fill="#555">microseconds, medians of {rounds} rounds</text></svg>'
    )
    return "\n".join(lines) + "\n"


def _bar(row: Row, top: int, scale: float) -> list[str]:
    lines = [f'<text x="{_LEFT - 8}" y="{top + 15}" text-anchor="end" fill="#222">{escape(row.name)}</text>']
    left = float(_LEFT)
    for part, colour in PARTS.items():
        width = (row.median(part) or 0.0) * scale
        lines.append(f'<rect x="{left:.1f}" y="{top}" width="{width:.1f}" height="22" fill="{colour}"/>')
        left += width
    lines.append(f'<text x="{left + 6:.1f}" y="{top + 15}" fill="#222">{_total(row):.1f}</text>')
    return lines


def _total(row: Row) -> float:
    return sum(row.median(part) or 0.0 for part in PARTS)
