"""The lists that a classification uses: what they are called, which version they have and how old they are."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime


@dataclass(frozen=True, slots=True)
class ListVersion:
    """One list, as it is named where results are kept."""

    name: str
    version: str
    date: str
    """ISO date of the newest entry, or of the publication; empty: unknown."""
    entries: int

    def age_days(self, now_ms: int) -> int | None:
        """Return the age in days, None if the date is unknown."""
        try:
            published = date.fromisoformat(self.date)
        except ValueError:
            return None
        return (datetime.fromtimestamp(now_ms / 1000, UTC).date() - published).days
