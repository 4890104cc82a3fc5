"""The cache and the stream server: whether they may evict, keep what they take, and agree on the time."""

from __future__ import annotations

import time
from typing import Any

import redis

from onebyone.check.finding import Finding
from onebyone.runtime.redis_client import Unavailable, connect_blocking

SKEW_SECONDS = 2.0
"""Clocks further apart put events into wrong hours and falsify ages; a time service keeps them within milliseconds."""
FULL = 0.9
"""Share of maxmemory from which to warn, while there is still time to act."""


def check_server(subject: str, url: str, *, events: bool) -> list[Finding]:
    """Return the state of one server; `events`: whether it holds the streams."""
    if not url:
        return [Finding(subject, "no server is known: nothing runs here and no URL is set", skipped=True)]
    client: Any = connect_blocking(url)
    try:
        return _check_connected(subject, client, events)
    except Unavailable as error:
        remedy = "start it, or correct its URL; events wait in the journals until it answers"
        return [Finding(subject, f"does not answer: {error}", remedy)]
    finally:
        client.close()


def _check_connected(subject: str, client: Any, events: bool) -> list[Finding]:
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
    findings += _check_clock(subject, client)
    return findings or [
        Finding(subject, f"noeviction, {used} bytes used" + (", append-only file on" if events else ""))
    ]


def _check_clock(subject: str, client: Any) -> list[Finding]:
    before = time.time()
    seconds, micros = client.time()
    return check_skew(subject, before, seconds + micros / 1e6, time.time())


def check_skew(subject: str, before: float, there: float, after: float) -> list[Finding]:
    """Return a finding when `there`, the clock of another machine, is off.

    All in epoch seconds; this machine's clock was read `before` and `after` the other.
    """
    apart = max(before - there, there - after, 0.0)
    if apart <= SKEW_SECONDS:
        return []
    text = f"its clock and that of this machine are {apart:.1f} s apart"
    return [Finding(subject, text, "run a time service (chrony, systemd-timesyncd) on both")]
