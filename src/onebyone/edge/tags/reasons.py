"""Why a request is not counted: the codes of `X-OneByOne: ignored; reason=<code>` (docs/reasons.md)."""

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
    """The browser fetches in advance, before anybody looks (Sec-Purpose, Purpose, X-Purpose, X-Moz)."""
    OVERLOAD = "overload"
    """Too many events wait for the disk. A loss path: an impression gets a 503, a click still lands."""
    JOURNAL = "journal"
    """The disk refused the event. A loss path: an impression gets a 503, a click still lands."""
