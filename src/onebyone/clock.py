"""The wall clock in the product's one unit: milliseconds since the Unix epoch, UTC."""

from __future__ import annotations

import time

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
"""Of the Unix epoch, which knows neither leap seconds nor daylight saving time."""


def now_ms() -> int:
    """Return milliseconds since the Unix epoch."""
    return time.time_ns() // 1_000_000
