"""The clocks of the edges and the counters, as they report them to each other, and events with wrong times."""

from __future__ import annotations

from typing import Any

import redis
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from onebyone.check.finding import SET_CLOCKS, Finding
from onebyone.clock import now_ms
from onebyone.contracts import keys
from onebyone.report_store.tables import archive
from onebyone.runtime.clock_skew import decode_reports, in_words, offsets_by_host, skew_seconds
from onebyone.runtime.redis_client import Unavailable, connect_blocking

SUBJECT = "clocks"


def check_clocks(url: str, limit: float) -> list[Finding]:
    """Return the hosts whose clocks are more than `limit` seconds off; the stream server is at `url`."""
    if not url:
        return [Finding(SUBJECT, "no stream server is known", skipped=True)]
    client: Any = connect_blocking(url)
    try:
        seconds, _ = client.time()
        offsets = offsets_by_host(decode_reports(client.hgetall(keys.CLOCKS)), seconds)
    except (*Unavailable, redis.ResponseError):
        # The check of the server says why.
        return [Finding(SUBJECT, "the stream server could not be asked", skipped=True)]
    finally:
        client.close()
    findings = []
    for host, offset in sorted(offsets.items()):
        skew = skew_seconds(offset, (other for name, other in offsets.items() if name != host))
        if abs(skew) > limit:
            text = f"the clock of {host} is {in_words(skew)} compared with the others: events go to wrong hours"
            findings.append(Finding(SUBJECT, text, SET_CLOCKS))
    hosts = f"{len(offsets)} machine" + ("s" if len(offsets) != 1 else "")
    return findings or [Finding(SUBJECT, f"edges and counters on {hosts} agree within {limit:g} s")]


async def check_event_times(connection: AsyncConnection, limit: float) -> list[Finding]:
    """Return a fault if events are counted into hours that have not come yet."""
    newest = (await connection.execute(select(func.max(archive.c.first_ts)))).scalar()
    ahead = ((newest or 0) - now_ms()) / 1000
    if ahead <= limit:
        return []
    text = f"there are events whose times are {ahead:.1f} s later than the clock of this machine"
    remedy = (
        "the clock of an edge was wrong, or this one is: the events stay in the hours that it showed; " + SET_CLOCKS
    )
    return [Finding(SUBJECT, text, remedy)]
