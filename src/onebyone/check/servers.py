"""Cache and stream server: may they evict, do they keep what they take, and what time do they have."""

from __future__ import annotations

import time
from typing import Any

import redis

from onebyone.check.finding import Finding
from onebyone.runtime.redis_client import Unavailable, connect_blocking

SKEW_SECONDS = 2.0
"""Clocks further apart than this put events into wrong hours and make ages meaningless."""
FULL = 0.9


def look(subject: str, url: str, *, events: bool) -> list[Finding]:
    """What is wrong with one server; `events`: it holds the streams."""
    if not url:
        return [Finding(subject, "no server is known: nothing runs here and no URL is set", skipped=True)]
    client: Any = connect_blocking(url)
    try:
        return _look(subject, client, events)
    except Unavailable as error:
        remedy = "start it, or correct its URL; events wait in the journals until it is back"
        return [Finding(subject, f"does not answer: {error}", remedy)]
    finally:
        client.close()


def _look(subject: str, client: Any, events: bool) -> list[Finding]:
    try:
        about = client.info("memory") | client.info("persistence")
    except redis.ResponseError as error:
        return [Finding(subject, f"does not tell about itself: {error}", "allow this user the command INFO")]
    found = []
    policy = about.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        lost = "events" if events else "trackers"
        text = f"maxmemory-policy is {policy}: under memory pressure {lost} vanish"
        found.append(Finding(subject, text, "CONFIG SET maxmemory-policy noeviction, and in its configuration file"))
    if events and not about.get("aof_enabled"):
        text = "append-only file is off: each restart empties the streams, and the journals must fill them again"
        found.append(Finding(subject, text, "CONFIG SET appendonly yes, and in its configuration file"))
    for name in ("aof_last_write_status", "aof_last_bgrewrite_status"):
        if about.get("aof_enabled") and about.get(name, "ok") != "ok":
            found.append(Finding(subject, f"{name} is {about[name]}", "give its disk room, and look at its log"))
    most, used = about.get("maxmemory", 0), about.get("used_memory", 0)
    if most and used > FULL * most:
        remedy = "see whether the counter keeps up (/sinkz of the API); then raise maxmemory"
        found.append(Finding(subject, f"{used} of {most} bytes are used", remedy))
    found += _clock(subject, client)
    return found or [Finding(subject, f"noeviction, {used} bytes used" + (", append-only file on" if events else ""))]


def _clock(subject: str, client: Any) -> list[Finding]:
    before = time.time()
    seconds, micros = client.time()
    return skew(subject, before, seconds + micros / 1e6, time.time())


def skew(subject: str, before: float, there: float, after: float) -> list[Finding]:
    """What is wrong when `there` was another machine's clock between `before` and `after` of ours; epoch seconds."""
    apart = max(before - there, there - after, 0.0)
    if apart <= SKEW_SECONDS:
        return []
    text = f"its clock and that of this machine are {apart:.1f} s apart"
    return [Finding(subject, text, "run a time service (chrony, systemd-timesyncd) on both")]
