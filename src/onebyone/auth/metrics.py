"""Metrics of authentication (docs/metrics.md)."""

from __future__ import annotations

from onebyone.runtime.metrics import Counter

LOGINS = Counter("onebyone_api_logins", "Tries to log in.", ("outcome",))
