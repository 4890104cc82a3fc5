"""Skip reasons that name a Debian package, and the count of skipped tests per package at the end of a run."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

import pytest

_NEEDED = re.compile(r"needs the Debian packages? ([\w+.-]+(?: and [\w+.-]+)*)")


def needs(*packages: str) -> str:
    """Return the reason with which a test is skipped where `packages` are not installed."""
    return f"needs the Debian package{'s' if len(packages) > 1 else ''} {' and '.join(packages)}"


def skipped_by_package(skipped: Iterable[pytest.TestReport]) -> Counter[str]:
    """Return how many of the skipped tests each package, or each few packages together, would bring."""
    tests: Counter[str] = Counter()
    for report in skipped:
        if isinstance(report.longrepr, tuple) and (named := _NEEDED.search(report.longrepr[2])):
            tests[named[1].replace(" and ", " ")] += 1
    return tests


def summary_lines(tests: Counter[str]) -> list[str]:
    """Return a line for each need, the one with the most tests first."""
    return [f"apt-get install {names}: {count} more test{'s'[: count > 1]}" for names, count in tests.most_common()]
