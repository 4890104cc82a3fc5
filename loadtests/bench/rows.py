"""Rows of measured values, one per round, and how a table shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Literal

NOISY_CORES = 0.15
"""A round in which other processes used more than this many cores is noisy."""


@dataclass
class Row:
    """The values of one contender."""

    name: str
    values: dict[str, list[float]] = field(default_factory=dict)
    """The values of each measure, one per round."""
    others: list[float] = field(default_factory=list)
    """Cores that other processes used or the host took away, one value per round."""

    def add(self, values: Mapping[str, float], others: float | None = None) -> None:
        """Add the values of one round."""
        for measure, value in values.items():
            self.values.setdefault(measure, []).append(value)
        if others is not None:
            self.others.append(others)

    def median(self, measure: str) -> float | None:
        """Return the median over all rounds; None if it was not measured."""
        values = self.values.get(measure)
        return median(values) if values else None

    @property
    def noisy(self) -> bool:
        """Whether more than half of its rounds were noisy."""
        return sum(cores > NOISY_CORES for cores in self.others) * 2 > len(self.others)


@dataclass(frozen=True)
class Column:
    """One figure of each row."""

    heading: str
    measure: str
    digits: int = 1
    against: str | None = None
    """If set, show the ratio to the row of this name."""
    show: Literal["median", "range", "sum"] = "median"
    """What to show of all rounds; the range is from the lowest to the highest value."""
    compared: bool = False
    """Whether the comparison of two results shows it."""

    def value(self, row: Row, rows: Sequence[Row]) -> float | None:
        """Return the median or sum; a ratio is the median of each round's ratio, as the machine's pace changes."""
        if self.show == "sum":
            return sum(row.values[self.measure]) if self.measure in row.values else None
        own = row.values.get(self.measure, [])
        if self.against is None or not own:
            return row.median(self.measure)
        other = next((peer.values.get(self.measure, []) for peer in rows if peer.name == self.against), [])
        ratios = [mine / theirs for mine, theirs in zip(own, other, strict=False) if theirs]
        return median(ratios) if ratios else None

    def text(self, row: Row, rows: Sequence[Row]) -> str:
        """Return the text of the cell."""
        if self.show == "range":
            values = row.values.get(self.measure, [])
            return f"{min(values):.{self.digits}f}-{max(values):.{self.digits}f}" if values else ""
        value = self.value(row, rows)
        return "" if value is None else f"{value:.{self.digits}f}"


@dataclass
class Table:
    """Rows that are shown together."""

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: list[Row]
    notes: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return all values of all rounds."""
        rows = [{"name": row.name, "values": row.values, "others": row.others} for row in self.rows]
        return {"title": self.title, "rows": rows, "notes": self.notes}


def rows_of(content: Mapping[str, Any]) -> list[Row]:
    """Return the rows of what `Table.to_json` returned."""
    return [Row(row["name"], row["values"], row["others"]) for row in content["rows"]]
