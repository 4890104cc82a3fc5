"""Metrics of the publisher (docs/metrics.md)."""

from __future__ import annotations

from onebyone.runtime.metrics import Counter, Gauge

PUBLISHED_VERSION = Gauge(
    "onebyone_config_published_version",
    "Version of the configuration that the cache server last held, as far as the publisher knows.",
    multiprocess_mode="mostrecent",
)
PUBLISHED_RECORDS = Counter("onebyone_config_published_records", "Records written to or deleted from the cache server.")
REBUILDS = Counter("onebyone_config_rebuilds", "Complete rebuilds of the cache server from the configuration store.")
PUBLISH_FAILURES = Counter("onebyone_config_publish_failures", "Failed passes of the publisher.")
