"""How far clocks are apart: what each process tells the others through the stream server, and what follows from it.

Every process compares its clock with the stream server's and publishes the difference (`keys.CLOCKS`), so that all
clocks are known relative to one. The clock that is off is the one that most others contradict, which may be the
server's.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import isfinite
from statistics import median, median_high, median_low

FRESH_SECONDS = 60.0
"""Age of a published difference, by the server's clock, up to which it counts: a dozen of the intervals in which
running processes publish it."""


@dataclass(frozen=True, slots=True)
class ClockReport:
    """The clock of one process, as it has published it."""

    name: str
    """`<role>@<host>/<process id>`."""
    offset: float
    """Seconds by which it is ahead of the stream server's."""
    at: float
    """When it was compared, by the stream server's clock, seconds since the epoch."""

    @property
    def host(self) -> str:
        """The host, whose processes share one clock."""
        return self.name.partition("@")[2].rpartition("/")[0]

    def encode(self) -> str:
        """Return the value of its field in `keys.CLOCKS`."""
        return f"{self.offset:.3f} {self.at:.3f}"


def decode_reports(fields: Mapping[bytes, bytes]) -> list[ClockReport]:
    """Return the readable reports of `keys.CLOCKS`."""
    reports = []
    for name, value in fields.items():
        try:
            offset, at = map(float, value.split())
        except ValueError:
            continue
        if not isfinite(offset) or not isfinite(at):
            continue
        reports.append(ClockReport(name.decode("utf-8", "replace"), offset, at))
    return reports


def offset_seconds(before: float, there: float, after: float) -> float:
    """Return by how much this clock, read `before` and `after` another, is at least ahead of what that showed.

    All in seconds since the epoch; negative: it is slow; 0: they may agree.
    """
    return before - there if there < before else min(0.0, after - there)


def offsets_by_host(reports: Iterable[ClockReport], now: float) -> dict[str, float]:
    """Return host -> seconds by which its clock is ahead of the server's, of the reports that are fresh.

    `now` is the server's time.
    """
    offsets: dict[str, list[float]] = defaultdict(list)
    for report in reports:
        if abs(now - report.at) <= FRESH_SECONDS:
            offsets[report.host].append(report.offset)
    return {host: median(values) for host, values in offsets.items()}


def skew_seconds(mine: float, others: Iterable[float]) -> float:
    """Return by how much a clock is ahead of what most of the clocks show.

    `mine` is its offset to the stream server's, `others` are those of other hosts. The server's own is 0. Where as many
    show one time as another, the clock is compared with those that contradict it: nobody can tell which are right.
    """
    clocks = [0.0, mine, *others]
    return max((mine - median_low(clocks), mine - median_high(clocks)), key=abs)


def in_words(seconds: float) -> str:
    """Return `12.0 s fast` or `12.0 s slow`."""
    return f"{abs(seconds):.1f} s {'fast' if seconds > 0 else 'slow'}"
