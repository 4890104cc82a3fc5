"""Metrics of the API role (docs/metrics.md)."""

from __future__ import annotations

from onebyone.runtime.metrics import Counter, Gauge, Histogram

REQUESTS = Counter("onebyone_api_requests", "Answers of the API.", ("service", "method", "outcome"))
REQUEST_SECONDS = Histogram("onebyone_api_request_seconds", "Time from a request to its answer.", ("service",))
LOGINS = Counter("onebyone_api_logins", "Tries to log in.", ("outcome",))
PUBLISHED_VERSION = Gauge(
    "onebyone_config_published_version",
    "Version of the configuration that the cache server was last seen to hold.",
    multiprocess_mode="mostrecent",
)
PUBLISHED_RECORDS = Counter("onebyone_config_published_records", "Records written to or taken from the cache server.")
REBUILDS = Counter("onebyone_config_rebuilds", "Times that the cache server was written anew from the store.")
PUBLISH_FAILURES = Counter("onebyone_config_publish_failures", "Passes of the publisher that failed.")
