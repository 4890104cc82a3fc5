"""The glossary explains each term once, in a sentence or two, and names a module that exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "glossary.md").read_text()
ROWS = re.findall(r"^\| ([^|]+) \| ([^|]+) \| `([\w/]+\.py)` \|$", PAGE, re.MULTILINE)

NEEDED = {
    *("batch", "group", "request batch", "producer", "shard", "seq", "hole", "incarnation", "outbox", "HEAD"),
    *("group commit", "receipt", "recorded", "kept", "lost", "reason", "flag", "as-of ids", "rollup", "feed"),
    *("dead letter", "tracker", "impression", "click", "creative", "placement", "line item", "insertion order"),
    *("macro", "epoch", "fast path"),
}


def test_needed_terms_are_explained() -> None:
    assert {term for term, _, _ in ROWS} >= NEEDED


def test_every_row_is_read_and_no_term_comes_twice() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith("| term |")]
    assert len(rows) == len(ROWS)
    assert len({term for term, _, _ in ROWS}) == len(ROWS)


@pytest.mark.parametrize(("term", "owner"), [(term, owner) for term, _, owner in ROWS])
def test_owner_exists(term: str, owner: str) -> None:
    assert (ROOT / "src" / "onebyone" / owner).is_file()
