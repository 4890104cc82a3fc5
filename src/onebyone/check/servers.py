"""The cache and the stream server: whether they may evict, keep what they take, and agree on the time."""

from __future__ import annotations

import time
from typing import Any

import redis

from onebyone.check.finding import SET_CLOCKS, Finding
from onebyone.runtime.clock_skew import offset_seconds
from onebyone.runtime.redis_client import Unavailable, connect_blocking

FULL = 0.9
"""Share of maxmemory from which to warn, while there is still time to act."""


def check_server(subject: str, url: str, skew_limit: float, *, events: bool) -> list[Finding]:
    """Return the state of one server; `events`: whether it holds the streams; `skew_limit`: see `check_skew`."""
    if not url:
        return [Finding(subject, "no server is known: nothing runs here and no URL is set", skipped=True)]
    client: Any = connect_blocking(url)
    try:
        return _check_connected(subject, client, skew_limit, events)
    except Unavailable as error:
        remedy = "start it, or correct its URL; events wait in the journals until it answers"
        return [Finding(subject, f"does not answer: {error}", remedy)]
    finally:
        client.close()


def _check_connected(subject: str, client: Any, skew_limit: float, events: bool) -> list[Finding]:
    try:
        about = client.info("memory") | client.info("persistence")
    except redis.ResponseError as error:
        return [Finding(subject, f"does not report its state: {error}", "allow this user the command INFO")]
    findings = []
    policy = about.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        lost = "events" if events else "trackers"
        text = f"maxmemory-policy is {policy}: under memory pressure it deletes {lost}"
        findings.append(Finding(subject, text, "CONFIG SET maxmemory-policy noeviction, and in its configuration file"))
    if events and not about.get("aof_enabled"):
        text = "append-only file is off: each restart empties the streams, and the edges must send everything again"
        findings.append(Finding(subject, text, "CONFIG SET appendonly yes, and in its configuration file"))
    for name in ("aof_last_write_status", "aof_last_bgrewrite_status"):
        if about.get("aof_enabled") and about.get(name, "ok") != "ok":
            findings.append(Finding(subject, f"{name} is {about[name]}", "free space on its disk, and look at its log"))
    most, used = about.get("maxmemory", 0), about.get("used_memory", 0)
    if most and used > FULL * most:
        remedy = "see whether the counter keeps up (/sinkz of the API); then raise maxmemory"
        findings.append(Finding(subject, f"{used} of {most} bytes are used", remedy))
    before = time.time()
    seconds, micros = client.time()
    findings += check_skew(subject, before, seconds + micros / 1e6, time.time(), skew_limit)
    return findings or [
        Finding(subject, f"noeviction, {used} bytes used" + (", append-only file on" if events else ""))
    ]


def check_skew(subject: str, before: float, there: float, after: float, limit: float) -> list[Finding]:
    """Return a finding when `there`, the clock of another machine, is off by more than `limit` seconds.

    All in epoch seconds; this machine's clock was read `before` and `after` the other.
    """
    apart = abs(offset_seconds(before, there, after))
    if apart <= limit:
        return []
    text = f"its clock and that of this machine are {apart:.1f} s apart"
    return [Finding(subject, text, SET_CLOCKS)]
