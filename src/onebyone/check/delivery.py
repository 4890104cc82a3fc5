"""Whether each batch that is not counted yet is still kept: in a journal, or in its stream."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import redis

from onebyone.check.finding import Finding
from onebyone.check.journals import JournalState
from onebyone.contracts import batches, keys
from onebyone.runtime.redis_client import Unavailable, connect_blocking

SUBJECT = "delivery"
PAGE = 100
"""Entries of one read, so that a server under load is never blocked for long."""
MOST_ENTRIES = 10_000
"""Entries of one stream that are searched for a missing batch: enough for the normal backlog, read in a second."""


def read_progress(url: str, shards: int) -> dict[str, int] | None:
    """Return producer -> the last seq published as committed; None when the server does not answer."""
    if not url:
        return None
    client: Any = connect_blocking(url)
    published: dict[str, int] = {}
    try:
        for shard in range(shards):
            progress = client.hgetall(keys.progress_key(shard))
            published |= {name.decode("latin-1"): int(seq) for name, seq in progress.items()}
    except (*Unavailable, ValueError):
        return None
    finally:
        client.close()
    return published


def check_delivery(
    journals: Sequence[JournalState], published: Mapping[str, int] | None, committed: Mapping[str, int], url: str
) -> list[Finding]:
    """Return lost and forgotten batches.

    Read `journals` and `published` before `committed`: in another order progress looks like a loss.
    """
    findings = []
    forgotten = sorted(name for name, seq in (published or {}).items() if seq > committed.get(name, 0))
    if forgotten:
        text = f"the report store has forgotten batches of {len(forgotten)} producers that were published as committed"
        remedy = (
            "it was restored to an earlier state: run the edges and the counter, and check again in a minute; "
            "the edges send again what their journals keep, and the rest becomes a hole"
        )
        findings.append(Finding(SUBJECT, f"{text}: {', '.join(forgotten[:3])}", remedy))
    for journal in journals:
        first = committed.get(journal.producer, 0) + 1
        last = min(journal.low - 1, journal.high)
        if journal.low > first and last >= first and not _in_stream(url, journal, first):
            text = f"batches {first} to {last} of producer {journal.producer} are neither counted nor kept"
            remedy = "they are lost: the counter records a hole; find out who deleted them from stream or journal"
            findings.append(Finding(SUBJECT, text, remedy))
    if findings:
        return findings
    waiting = sum(max(0, journal.high - committed.get(journal.producer, 0)) for journal in journals)
    text = f"every batch that is not counted is still kept: {waiting} in the journals here"
    return [Finding(SUBJECT, text if published is not None else f"{text}; the stream server was not asked")]


def _in_stream(url: str, journal: JournalState, seq: int) -> bool:
    if not url:
        return False
    client: Any = connect_blocking(url)
    after, seen = "-", 0
    try:
        while seen < MOST_ENTRIES:
            page = client.xrange(keys.events_key(journal.shard), after, "+", count=PAGE)
            for entry_id, fields in page:
                after = f"({entry_id.decode()}"
                if (fields.get(b"p"), fields.get(b"s")) == (journal.producer.encode(), b"%d" % seq):
                    return True
            if len(page) < PAGE:
                return False
            seen += len(page)
    except (redis.RedisError, OSError, batches.BatchError):
        return False
    finally:
        client.close()
    return False
