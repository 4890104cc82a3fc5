"""What an experiment is, what it found, and the table of all of them: as text, as Markdown and as JSON."""

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
    """How it is made."""
    refused: tuple[str, ...] = ()
    """Reasons with which events may be refused while it lasts; none: every answer is `recorded`."""
    broken: bool = False
    """Requests may end without an answer, because the process that had them was killed."""


def fault(
    number: int, name: str, *, means: str, refused: tuple[str, ...] = (), broken: bool = False
) -> pytest.MarkDecorator:
    """Marks a test as an experiment."""
    return pytest.mark.fault(Fault(number, name, means, refused, broken))


@dataclass(frozen=True)
class Verdict:
    """What the ledger found after one repeat."""

    obligations: int
    lost: int
    doubled: int
    invented: int
    altered: int
    refused: dict[str, int]
    """Events that the edge said it did not record, by reason."""
    unanswered: int
    seconds: float
    """From the end of the fault until every obligation and a new event were counted; a second of it is further load."""


@dataclass
class Row:
    """All repeats of one experiment."""

    fault: Fault
    outcomes: Counter[str] = field(default_factory=Counter)
    verdicts: list[Verdict] = field(default_factory=list)

    def total(self, of: Callable[[Verdict], int]) -> int:
        """The sum over all repeats."""
        return sum(of(verdict) for verdict in self.verdicts)

    @property
    def refused(self) -> Counter[str]:
        """By reason, over all repeats."""
        return sum((Counter(verdict.refused) for verdict in self.verdicts), Counter[str]())

    def cells(self) -> list[str]:
        """For people; in the order of `HEAD`."""
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
    """Collects the runs; `add` takes what a worker process sends."""

    def __init__(self) -> None:
        self._rows: dict[tuple[int, str], Row] = {}

    def add(self, about: dict[str, Any], outcome: str, verdicts: list[dict[str, Any]]) -> None:
        """One run."""
        one = Fault(**about | {"refused": tuple(about["refused"])})
        row = self._rows.setdefault((one.number, one.name), Row(one))
        row.outcomes[outcome] += 1
        row.verdicts += [Verdict(**verdict) for verdict in verdicts]

    @property
    def rows(self) -> list[Row]:
        """In the order of their numbers."""
        return [self._rows[key] for key in sorted(self._rows)]

    def text(self) -> list[str]:
        """Lines with aligned columns."""
        cells = [HEAD, *(row.cells() for row in self.rows)]
        widths = [max(len(line[column]) for line in cells) for column in range(len(HEAD))]
        return [
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells
        ]

    def markdown(self) -> str:
        """The same for the documentation."""
        lines = [HEAD, ["---"] * len(HEAD), *(row.cells() for row in self.rows)]
        return "".join(f"| {' | '.join(line)} |\n" for line in lines)

    def json(self, seed: str) -> str:
        """The same with every run, for programs."""
        rows = [
            asdict(row.fault) | {"outcomes": row.outcomes, "runs": [asdict(verdict) for verdict in row.verdicts]}
            for row in self.rows
        ]
        return json.dumps({"seed": seed, "faults": rows}, indent=1)
