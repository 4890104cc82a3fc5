"""Sums of the requests that reached no tracker, by kind and reason, written to the journal now and then.

Such a request has no event: anybody can send millions of them, and each would cost the disk as much as one that is paid
for. Their sums take a line for each kind and reason that occurred (`requests` in `contracts/events.py`), however many
the requests were. They are best effort: what a process has not written when it is killed is missing in them, and a
request counts in the hour in which its sum is written, up to `WRITE_SECONDS` later.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import orjson

from onebyone.contracts.events import AS_OF, Kind
from onebyone.edge.journal.group_commit import Waiter
from onebyone.edge.tags.reasons import Reason

WRITE_SECONDS = 10.0
"""How often the sums are written, if there are any: short against an hour, and a flood adds a few lines each time."""

Sums = Counter[tuple[Kind, Reason]]
Submit = Callable[[list[bytes], Waiter | None], bool]


class UntrackedSums:
    """The sums of one process since they were last written. Call every method on the event loop's thread."""

    def __init__(self, submit: Submit) -> None:
        """Write with `submit`, which returns False if it does not take the lines (`Recorder.submit`)."""
        self._submit = submit
        self._sums: Sums = Counter()

    def add(self, kind: Kind, reason: Reason) -> None:
        """Count one request."""
        self._sums[kind, reason] += 1

    def write(self) -> None:
        """Submit the sums as one group, if there are any; what the journal refuses is written next time."""
        sums, self._sums = self._sums, Counter()
        if sums and not self._submit([_line(*key, requests) for key, requests in sums.items()], _Written(self, sums)):
            self.restore(sums)

    def restore(self, sums: Sums) -> None:
        """Add sums that could not be written again."""
        self._sums += sums


class _Written:
    """Waits for sums to be on disk."""

    def __init__(self, owner: UntrackedSums, sums: Sums) -> None:
        self._owner = owner
        self._sums = sums

    def on_durable(self, ok: bool) -> None:
        if not ok:
            self._owner.restore(self._sums)


def _line(kind: Kind, reason: Reason, requests: int) -> bytes:
    fields = {"kind": kind, "tracker_id": 0, **dict.fromkeys(AS_OF, 0), "reason": reason, "requests": requests}
    return orjson.dumps(fields)[1:-1]
