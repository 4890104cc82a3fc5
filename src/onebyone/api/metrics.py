"""Metrics of the API role (docs/metrics.md)."""

from __future__ import annotations

from onebyone.runtime.metrics import Counter, Histogram

REQUESTS = Counter("onebyone_api_requests", "Answers of the API.", ("service", "method", "outcome"))
CLOSED_CONNECTIONS = Counter(
    "onebyone_api_closed_connections", "Connections that waited for their client, closed to make room for others."
)
REQUEST_SECONDS = Histogram("onebyone_api_request_seconds", "Time from a request to its answer.", ("service",))
