"""An experiment, its result, and the table of all results as text, Markdown and JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import pytest


@dataclass(frozen=True)
class Fault:
    """One row of the table."""

    number: int
    name: str
    means: str
    """How it is caused."""
    refused: tuple[str, ...] = ()
    """Reasons with which events may be refused during the fault; without any, every answer must be `recorded`."""
    broken: bool = False
    """Whether requests may end without an answer, because the process that received them was killed."""


def fault(
    number: int, name: str, *, means: str, refused: tuple[str, ...] = (), broken: bool = False
) -> pytest.MarkDecorator:
    """Mark a test as an experiment."""
    return pytest.mark.fault(Fault(number, name, means, refused, broken))


@dataclass(frozen=True)
class Verdict:
    """What the ledger found after one round."""

    obligations: int
    lost: int
    doubled: int
    invented: int
    altered: int
    refused: dict[str, int]
    """Number of events that the edge refused, by reason."""
    unanswered: int
    seconds: float
    """From the end of the fault until every obligation and a new event were counted, including a second of load."""


@dataclass
class Row:
    """All rounds of one experiment."""

    fault: Fault
    outcomes: Counter[str] = field(default_factory=Counter)
    verdicts: list[Verdict] = field(default_factory=list)

    def total(self, of: Callable[[Verdict], int]) -> int:
        """Return the sum over all rounds."""
        return sum(of(verdict) for verdict in self.verdicts)

    @property
    def refused(self) -> Counter[str]:
        """Number of refused events by reason, over all rounds."""
        return sum((Counter(verdict.refused) for verdict in self.verdicts), Counter[str]())

    def cells(self) -> list[str]:
        """Return the cells of the table's row, in the order of `HEAD`."""
        others = ", ".join(what for what in sorted(self.outcomes) if what != "passed")
        told = ", ".join(f"{number} {reason}" for reason, number in sorted(self.refused.items())) or "0"
        allowed = " or ".join(self.fault.refused) or "none"
        unanswered = self.total(lambda one: one.unanswered)
        return [
            str(self.fault.number),
            self.fault.name,
            f"{len(self.verdicts)} {others}".rstrip(),
            str(self.total(lambda one: one.obligations)),
            str(self.total(lambda one: one.lost)),
            str(self.total(lambda one: one.doubled)),
            f"{told} ({allowed} allowed)",
            f"{unanswered}" if self.fault.broken else f"{unanswered} (none allowed)",
            f"{max((one.seconds for one in self.verdicts), default=0.0):.1f} s",
            self.fault.means,
        ]


HEAD = ["#", "fault", "repeats", "obligations", "lost", "doubled", "refused", "unanswered", "recovered", "means"]


class Table:
    """Collects the results, which `add` takes as a worker process sends them."""

    def __init__(self) -> None:
        self._rows: dict[tuple[int, str], Row] = {}

    def add(self, about: dict[str, Any], outcome: str, verdicts: list[dict[str, Any]]) -> None:
        """Add the result of one test."""
        one = Fault(**about | {"refused": tuple(about["refused"])})
        row = self._rows.setdefault((one.number, one.name), Row(one))
        row.outcomes[outcome] += 1
        row.verdicts += [Verdict(**verdict) for verdict in verdicts]

    @property
    def rows(self) -> list[Row]:
        """The rows in the order of their numbers."""
        return [self._rows[key] for key in sorted(self._rows)]

    def text(self) -> list[str]:
        """Return the table as lines with aligned columns."""
        cells = [HEAD, *(row.cells() for row in self.rows)]
        widths = [max(len(line[column]) for line in cells) for column in range(len(HEAD))]
        return [
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells
        ]

    def markdown(self) -> str:
        """Return the table as Markdown, for the documentation."""
        lines = [HEAD, ["---"] * len(HEAD), *(row.cells() for row in self.rows)]
        return "".join(f"| {' | '.join(line)} |\n" for line in lines)

    def json(self, seed: str) -> str:
        """Return the table and every round as JSON."""
        rows = [
            asdict(row.fault) | {"outcomes": row.outcomes, "runs": [asdict(verdict) for verdict in row.verdicts]}
            for row in self.rows
        ]
        return json.dumps({"seed": seed, "faults": rows}, indent=1)
