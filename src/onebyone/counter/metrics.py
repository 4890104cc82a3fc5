"""What the counter measures (docs/metrics.md)."""

from __future__ import annotations

from onebyone.runtime.metrics import Counter, Gauge

EVENTS = Counter(
    "onebyone_counter_events", "Events in the report store, including those that are kept uncounted.", ["kind"]
)
BATCHES = Counter("onebyone_counter_batches", "Batches counted into the report store.")
DUPLICATES = Counter("onebyone_counter_duplicate_batches", "Batches that had been counted before and were skipped.")
DEAD_LETTERS = Counter(
    "onebyone_counter_dead_letters", "Records and entries that could not be counted and were kept.", ["reason"]
)
PRUNED_ROWS = Counter("onebyone_counter_pruned_rows", "Rows deleted because their retention was over.", ["table"])
LOST_BATCHES = Counter("onebyone_counter_lost_batches", "Batches that no journal has any more: events that are lost.")
RESENDS = Counter("onebyone_counter_resends", "Requests to an edge process to ship again, because a batch is missing.")
ERRORS = Counter("onebyone_counter_errors", "Failed attempts to use a store.", ["store"])
SHARDS = Gauge("onebyone_counter_shards", "Shards that this counter owns.", multiprocess_mode="livesum")
LEASES_LOST = Counter("onebyone_counter_leases_lost", "Shards that another counter took because this one was silent.")
CLASSIFIED = Counter(
    "onebyone_counter_classified_events",
    "Events with a class of invalid traffic, by class: counted like others, under their class.",
    ["reason"],
)
LIST_AGE = Gauge(
    "onebyone_counter_list_age_seconds",
    "Age of the lists by which events are classified.",
    ["list"],
    multiprocess_mode="mostrecent",
)
LIST_PROBLEMS = Gauge(
    "onebyone_counter_list_problems",
    "Lists that cannot be read or are too old: `onebyone check` names them.",
    multiprocess_mode="mostrecent",
)
PROXY_RETRIES = Counter(
    "onebyone_counter_proxy_retries",
    "Events of a request that a trusted proxy had sent before, to the same edge or another: counted as well.",
)
SKEWED_BATCHES = Counter(
    "onebyone_counter_skewed_batches",
    "Batches of edges whose clock differs from the stream server's: counted into the hours of that clock.",
)
CLOCK_SKEW = Gauge(
    "onebyone_counter_clock_skew_seconds",
    "Seconds by which the clock of the counter differs from most of the others'.",
    multiprocess_mode="mostrecent",
)
WAITING = Gauge(
    "onebyone_counter_waiting_producers",
    "Producers of which a batch is missing, so that later ones wait.",
    ["shard"],
    multiprocess_mode="mostrecent",
)
BEHIND = Gauge(
    "onebyone_counter_behind_batches",
    "Batches in the stream that are not counted yet.",
    ["shard"],
    multiprocess_mode="mostrecent",
)
OLDEST = Gauge(
    "onebyone_counter_oldest_seconds",
    "Age of the oldest batch in the stream that is not counted yet.",
    ["shard"],
    multiprocess_mode="mostrecent",
)
