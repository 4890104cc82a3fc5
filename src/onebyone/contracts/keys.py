"""Every Redis key of the product, each with its reason.

Two servers hold them: the *cache* server (configuration, rebuilt from SQL whenever it was emptied) and the
*stream* server (events on their way). Both must be `noeviction`: an evicted tracker would read as an unknown one.
Braces are Redis Cluster hash tags.
"""

from __future__ import annotations

from onebyone.contracts.events import Kind

CHANGES = "onebyone:{config}:changes"
"""Stream, cache server: one entry a published group of changes, so that edges drop what they hold."""

CHANGES_LENGTH = 10_000
"""An edge that falls further behind than this sees a version jump and revalidates everything it holds."""

HEAD = "onebyone:{config}:head"
"""String, cache server: `<store id>:<version>` of the last published change. None: the cache is incomplete."""

REBUILD_LOCK = "onebyone:{config}:rebuild"
"""String with expiry, cache server: one API process at a time refills an emptied cache."""

TRACKER_PREFIX = "onebyone:tracker:"
MEMBER_PREFIX = "onebyone:member:"


def tracker(kind: Kind, tracker_id: int) -> str:
    """String, cache server: the JSON of one tracker as the edge needs it (`configuration.TrackerRecord`)."""
    return f"{TRACKER_PREFIX}{kind}:{tracker_id}"


def member(member_id: int) -> str:
    """String, cache server: the JSON of one member's redirect rules (`configuration.MemberRecord`)."""
    return f"{MEMBER_PREFIX}{member_id}"


def usage(user_id: int, window: int) -> str:
    """Hash with expiry, cache server: `reads` and `writes` of a user in one minute, over all API processes."""
    return f"onebyone:use:{user_id}:{window}"


def events(shard: int) -> str:
    """Stream, stream server: packed batches (`batches.py`) of the producers that write to this shard."""
    return f"onebyone:{{events:{shard}}}"


def progress(shard: int) -> str:
    """Hash, stream server: producer -> highest `seq` committed to the report store; edges delete behind it."""
    return f"onebyone:{{events:{shard}}}:progress"


def resend(shard: int) -> str:
    """Hash, stream server: producer -> token; a new token asks its edge to ship again from `progress` + 1."""
    return f"onebyone:{{events:{shard}}}:resend"


def incarnation(shard: int) -> str:
    """String, stream server: random, set once. Another value or none: the server was emptied or replaced."""
    return f"onebyone:{{events:{shard}}}:incarnation"
