"""Percentiles of many small numbers."""

from __future__ import annotations

from collections.abc import Sequence


def percentile(ordered: Sequence[int], share: float) -> int:
    """Return the least of the values that at least this share of them does not exceed (nearest rank)."""
    rank = -(-len(ordered) * share // 1)
    return ordered[max(0, int(rank) - 1)]
