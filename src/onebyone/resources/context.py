"""What the engine works with: stores, settings, a clock, and the publisher that follows each write."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncEngine

from onebyone.clock import now_ms
from onebyone.reports.delivery_stats import DeliveryStats
from onebyone.settings import Settings


class Wakeable(Protocol):
    """The part of the publisher that writes need."""

    def wake(self) -> None:
        """Publish the change that was committed just now."""


@dataclass(frozen=True, slots=True)
class EngineContext:
    """Shared by all objects and requests of one process."""

    settings: Settings
    store: AsyncEngine
    """The configuration store."""
    report_store: AsyncEngine
    publisher: Wakeable
    clock: Callable[[], int] = now_ms
    """Milliseconds since the epoch."""

    def delivery_stats(self, member_id: int) -> DeliveryStats:
        """Return the counted events of a member."""
        return DeliveryStats(self.report_store, member_id, self.clock())
