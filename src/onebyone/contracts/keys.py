"""Every Redis key of the product, each with its purpose.

Two servers hold them: the *cache* server (configuration, rebuilt from SQL whenever it was emptied) and the
*stream* server (events in transit). Both must be `noeviction`: an evicted tracker would read as an unknown one.
Braces are Redis Cluster hash tags.
"""

from __future__ import annotations

from onebyone.contracts.events import Kind

CHANGES = "onebyone:{config}:changes"
"""Stream, cache server: one entry per published group of changes, so that edges invalidate those records."""

CHANGES_LENGTH = 10_000
"""Entries kept. An edge that lags by more sees a version jump and revalidates everything it caches."""

HEAD = "onebyone:{config}:head"
"""String, cache server: `<store id>:<version>` of the last published change. Absent: the cache is incomplete."""

HEAD_COMMITTED = "onebyone:{config}:head:committed"
"""String, cache server: when the store committed the version in HEAD, ms since the epoch. A store that was restored
from a backup commits a version again, at another time."""

REBUILD_LOCK = "onebyone:{config}:rebuild"
"""String with expiry, cache server: held by the one API process that refills an emptied cache."""

TRACKER_PREFIX = "onebyone:tracker:"
MEMBER_PREFIX = "onebyone:member:"


def tracker_key(kind: Kind, tracker_id: int) -> str:
    """Return the key of one tracker.

    String, cache server: its JSON as the edge needs it (`configuration.TrackerRecord`).
    """
    return f"{TRACKER_PREFIX}{kind}:{tracker_id}"


def member_key(member_id: int) -> str:
    """Return the key of one member.

    String, cache server: the JSON of its redirect rules (`configuration.MemberRecord`).
    """
    return f"{MEMBER_PREFIX}{member_id}"


def usage_key(user_id: int, window: int) -> str:
    """Return the key of a user's limits in one minute.

    Hash with expiry, cache server: `reads` and `writes` over all API processes.
    """
    return f"onebyone:use:{user_id}:{window}"


def events_key(shard: int) -> str:
    """Return the key of a shard's events.

    Stream, stream server: packed batches (`batches.py`) of the producers that write to this shard.
    """
    return f"onebyone:{{events:{shard}}}"


def progress_key(shard: int) -> str:
    """Return the key of a shard's progress.

    Hash, stream server: producer -> highest `seq` committed to the report store; edges delete up to it.
    """
    return f"onebyone:{{events:{shard}}}:progress"


def resend_key(shard: int) -> str:
    """Return the key of a shard's requests for a resend.

    Hash, stream server: producer -> token; a new token asks the edge to send again from `progress` + 1 on.
    """
    return f"onebyone:{{events:{shard}}}:resend"


def incarnation_key(shard: int) -> str:
    """Return the key of a shard's incarnation.

    String, stream server: random, set once. Another value, or none: the server was emptied or replaced.
    """
    return f"onebyone:{{events:{shard}}}:incarnation"


CLOCKS = "onebyone:clocks"
"""Hash, stream server: `<role>@<host>/<process id>` -> by how many seconds its clock is ahead of the server's, and when
that was, so that edges and counters notice which clock is off (`runtime/clock_skew.py`)."""
