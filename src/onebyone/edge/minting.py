"""Makes event lines: the record of `events.py` as bytes, with an id that no other event has.

An id is a random 39-bit prefix and a 24-bit count below it. The prefix is drawn again at each start of a process and
whenever the count is used up, so no coordination is needed; counting does not rest on ids but on the batch's name.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from itertools import islice, repeat
from time import time_ns
from typing import Any

import orjson

from onebyone.configuration import TrackerRecord
from onebyone.events import AS_OF, VERSION

_COUNT_BITS = 24
_COUNT_END = 1 << _COUNT_BITS
_PREFIX_BITS = 63 - _COUNT_BITS
_LINE = b'{"v":' + str(VERSION).encode() + b',"id":%d,"ts":%d,%b%b}'


class Mint:
    """Event lines of one process."""

    def __init__(self) -> None:
        self._ids = iter(range(0))

    def lines(self, fragments: Iterable[bytes], facts: Sequence[bytes]) -> list[bytes]:
        """The lines of events that are received now: of each the tracker's fragment (`as_of`) and the request's facts.

        Facts are JSON members, each with a comma in front.
        """
        ids = list(islice(self._ids, len(facts)))
        if len(ids) < len(facts):
            self._renew()
            ids += islice(self._ids, len(facts) - len(ids))
        return [_LINE % four for four in zip(ids, repeat(time_ns() // 1_000_000), fragments, facts, strict=False)]

    def _renew(self) -> None:
        first = (secrets.randbelow((1 << _PREFIX_BITS) - 1) + 1) << _COUNT_BITS
        self._ids = iter(range(first + 1, first + _COUNT_END))


def as_of(tracker: TrackerRecord) -> bytes:
    """The part of an event line that is the same for every event of this tracker record, without braces."""
    fields: dict[str, Any] = {"kind": tracker.kind, "tracker_id": tracker.id}
    for name in AS_OF:
        fields[name] = getattr(tracker, name)
    if tracker.terms:
        fields["terms"] = tracker.terms
    return orjson.dumps(fields)[1:-1]
