"""When counting is late, in the words that every role uses."""

from __future__ import annotations


def late_words(oldest_seconds: float, limit_seconds: float) -> str:
    """Return what is wrong when the oldest uncounted event is older than `ONEBYONE_UNCOUNTED_SECONDS`."""
    return (
        f"the oldest uncounted event is {oldest_seconds:.0f} s old, more than {limit_seconds:g} s: "
        "the counter does not run, hangs or lags"
    )
