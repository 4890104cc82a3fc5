"""Why an answer's event is not counted: the codes of `X-OneByOne: ignored; reason=<code>` (docs/reasons.md)."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """One code a case; the order is the order in which the cases are looked at."""

    METHOD = "method"
    """Neither GET nor HEAD."""
    BAD_ID = "bad_id"
    """No `id`, or not a positive decimal number."""
    CONFIG = "config"
    """The tracker is not in memory and the cache cannot say whether it exists; answered 503."""
    UNKNOWN_ID = "unknown_id"
    """No such tracker, or it was deleted."""
    INACTIVE = "inactive"
    """The tracker's state is inactive."""
    HEAD = "head"
    """A HEAD request."""
    PREFETCH = "prefetch"
    """The browser fetches ahead of the person (Sec-Purpose, Purpose, X-Moz)."""
    OVERLOAD = "overload"
    """Too many events wait for the disk; a loss path: an impression is answered 503, a click still lands."""
    JOURNAL = "journal"
    """The disk refused the event; a loss path: an impression is answered 503, a click still lands."""
