"""Metrics of the API role (docs/metrics.md)."""

from __future__ import annotations

from onebyone.runtime.metrics import Counter, Histogram

REQUESTS = Counter("onebyone_api_requests", "Answers of the API.", ("service", "method", "outcome"))
REQUEST_SECONDS = Histogram("onebyone_api_request_seconds", "Time from a request to its answer.", ("service",))
