"""The fixtures of the counter serve the check too."""

from __future__ import annotations

from tests.counter.conftest import each_harness

__all__ = ["each_harness"]
