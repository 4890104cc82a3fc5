"""Percentiles of many small numbers."""

from __future__ import annotations

from collections.abc import Sequence


def percentile(ordered: Sequence[int], share: float) -> int:
    """The least value that at least this share of all values does not exceed (nearest rank). Not of nothing."""
    rank = -(-len(ordered) * share // 1)
    return ordered[max(0, int(rank) - 1)]
