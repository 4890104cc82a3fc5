"""Makes what the events of a group share, with ids that no other event has, and what those of a tracker share.

An id is a random 39-bit prefix and a 24-bit count below it. The prefix is drawn again at each start of a process and
whenever the count is used up, so no coordination is needed; counting does not rest on ids but on the batch's name.
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
_COUNT_END = 1 << _COUNT_BITS
_PREFIX_BITS = 63 - _COUNT_BITS


class IdAllocator:
    """Head lines and ids of one process."""

    def __init__(self) -> None:
        self._next = 0
        self._end = 0

    def head_line(self, events: int) -> bytes:
        """The head line (`batches.py`) of so many events that are received now; their ids are below one prefix."""
        first = self._next
        if first + events > self._end:
            first = (secrets.randbelow((1 << _PREFIX_BITS) - 1) + 1) << _COUNT_BITS
            self._end = first + _COUNT_END
        self._next = first + events
        return batches.head_line(first, time_ns() // 1_000_000)


def tracker_fragment(tracker: TrackerRecord) -> bytes:
    """The members that begin the line of every event of this tracker record."""
    fields: dict[str, Any] = {"kind": tracker.kind, "tracker_id": tracker.id}
    for name in AS_OF:
        fields[name] = getattr(tracker, name)
    if tracker.terms:
        fields["terms"] = tracker.terms
    return orjson.dumps(fields)[1:-1]
