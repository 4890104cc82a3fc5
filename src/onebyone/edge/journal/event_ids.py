"""Unique event ids, the head line that a group's events share, and the members that a tracker's events share.

An id is a random 39-bit prefix followed by a 24-bit count. Each process draws a prefix when it starts and a new one
whenever the count is used up, so ids need no coordination. Exactly-once counting does not depend on ids: it depends on
the name of the batch (`contracts/batches.py`).
"""

from __future__ import annotations

import secrets
from time import time_ns
from typing import Any

import orjson

from onebyone.contracts import batches
from onebyone.contracts.configuration import TrackerRecord
from onebyone.contracts.events import AS_OF

_COUNT_BITS = 24
"""16.7 million events between two prefixes; 39 random bits remain, so that no two processes draw the same one."""
_COUNT_END = 1 << _COUNT_BITS
_PREFIX_BITS = 63 - _COUNT_BITS
"""63 bits in all: an id is a signed BIGINT in SQL."""


class IdAllocator:
    """Allocate the event ids of one process."""

    def __init__(self) -> None:
        self._next = 0
        self._end = 0

    def head_line(self, events: int) -> bytes:
        """Allocate consecutive ids for `events` events and return their head line (`contracts/batches.py`).

        The head line carries the first id and the present time.
        """
        first = self._next
        if first + events > self._end:
            first = (secrets.randbelow((1 << _PREFIX_BITS) - 1) + 1) << _COUNT_BITS
            self._end = first + _COUNT_END
        self._next = first + events
        return batches.head_line(first, time_ns() // 1_000_000)


def tracker_fragment(tracker: TrackerRecord) -> bytes:
    """Return the JSON members, without braces, that begin every event line of this tracker record."""
    fields: dict[str, Any] = {"kind": tracker.kind, "tracker_id": tracker.id}
    for name in AS_OF:
        fields[name] = getattr(tracker, name)
    if tracker.terms:
        fields["terms"] = tracker.terms
    return orjson.dumps(fields)[1:-1]
