"""For how long the report store keeps its rows (docs/operations.md)."""

from __future__ import annotations

from dataclasses import dataclass

from onebyone.settings import Settings


@dataclass(frozen=True, slots=True)
class Retention:
    """Days for which rows are kept, by their kind; 0: for ever."""

    archive_days: int
    click_days: int
    dead_letter_days: int
    producer_days: int
    rollup_days: int

    @classmethod
    def of(cls, settings: Settings) -> Retention:
        """Return what the settings say; what tells how an archived batch was counted stays as long as the batch."""
        return cls(
            settings.archive_days,
            settings.click_days,
            _at_least(settings.dead_letter_days, settings.archive_days),
            _at_least(settings.producer_days, settings.archive_days),
            settings.rollup_days,
        )


def _at_least(days: int, least: int) -> int:
    return max(days, least) if days else 0
