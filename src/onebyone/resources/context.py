"""What the services of one API process share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import redis.asyncio
from sqlalchemy.ext.asyncio import AsyncEngine

from onebyone.clock import now_ms
from onebyone.reports.delivery_stats import DeliveryStats
from onebyone.settings import Settings


class Wakeable(Protocol):
    """The part of the publisher that writers need."""

    def wake(self) -> None:
        """Says that a change was committed and should be published now."""


@dataclass(frozen=True, slots=True)
class ApiContext:
    """Stores, publisher, settings and clock."""

    settings: Settings
    store: AsyncEngine
    report_store: AsyncEngine
    publisher: Wakeable
    clock: Callable[[], int] = now_ms
    """Milliseconds since the epoch."""
    cache: redis.asyncio.Redis | None = None
    """The cache server, where API processes share what they count; none: each counts alone."""

    def delivery_stats(self, member_id: int) -> DeliveryStats:
        """The counted events of a member."""
        return DeliveryStats(self.report_store, member_id, self.clock())
