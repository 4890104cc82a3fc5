"""The counter's lanes serve the check too."""

from __future__ import annotations

from tests.counter.conftest import each_lane

__all__ = ["each_lane"]
