"""Why a request is not counted: the codes of `X-OneByOne: ignored; reason=<code>` (docs/reasons.md).

A request to a known tracker is *kept*: its event, with the reason, is on disk before the response is sent. A request
that reaches no tracker leaves only a sum (`edge/untracked.py`), and one whose event is *lost* only a metric.
"""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """One code per case, in the order in which the cases are checked."""

    BAD_REQUEST = "bad_request"
    """The request is not valid HTTP or too long, so what it asks for is not certain."""
    BAD_PATH = "bad_path"
    """The path is only similar to that of a tag."""
    METHOD = "method"
    """The method is neither GET nor HEAD."""
    BAD_ID = "bad_id"
    """`id` is missing or not a positive decimal number."""
    CONFIG = "config"
    """The tracker is neither in memory nor on disk, and the cache server cannot say whether it exists. A loss path: the
    response is a 503."""
    UNKNOWN_ID = "unknown_id"
    """The tracker does not exist, or was deleted."""
    INACTIVE = "inactive"
    """The tracker's state is inactive."""
    HEAD = "head"
    """The method is HEAD."""
    PREFETCH = "prefetch"
    """The browser fetches in advance, before anybody looks (`client.Purpose`)."""
    PRERENDER = "prerender"
    """The browser renders the page in advance, before anybody looks; it does not ask again if somebody does."""
    OVERLOAD = "overload"
    """Too many events wait for the disk. A loss path: an impression gets a 503, a click still lands."""
    JOURNAL = "journal"
    """The disk refused the event. A loss path: an impression gets a 503, a click still lands."""
