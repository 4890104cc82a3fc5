"""The client of a request, reduced to what may be stored: truncated address, user agent, referrer, privacy signals."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from functools import lru_cache
from typing import Any, NamedTuple

import orjson

from onebyone.edge.tags.flags import Flag
from onebyone.edge.tags.query import decode_text
from onebyone.runtime.client_address import truncate_address

AGENT_MAX = 512
"""Bytes of a user agent that are kept; no common browser sends more."""
REFERRER_MAX = 1024
"""Bytes of a referrer that are kept: enough for the page; long query strings are cut."""
_NETWORKS_CACHED = 16_384
"""Client addresses whose network member is remembered, in a few megabytes: a client sends several requests in a row."""
_AGENTS_CACHED = 8192
"""User agents whose JSON member is remembered, in a few megabytes: most traffic comes from far fewer."""

PURPOSES = frozenset((b"sec-purpose", b"purpose", b"x-purpose", b"x-moz"))
HEADERS = frozenset((b"user-agent", b"sec-gpc", b"sec-fetch-dest", b"sec-fetch-site", *PURPOSES))
"""The headers that `parse_client` reads."""
UNKNOWN_NETWORK = f',"flags":["{Flag.ADDRESS_UNKNOWN}"]'.encode()
"""What an event line has in place of a network when nobody has named the client; the flags of the tag are added."""
_SAME = b"same-origin"
_WORD = re.compile(rb"[a-z-]+")


class Purpose(StrEnum):
    """What a browser fetches for before anybody looks, as its headers call it; of several the first one applies."""

    PRERENDER = "prerender"
    PREFETCH = "prefetch"
    PREVIEW = "preview"
    """A small picture of the page."""


class Client(NamedTuple):
    """What a request's headers say about the browser. Without address and referrer, so that many requests share one."""

    agent: bytes
    """The user agent as a JSON member of an event line, preceded by a comma; empty if it is absent."""
    script: bool
    """The page will run the response as a script (`Sec-Fetch-Dest`)."""
    purpose: Purpose | None
    """The browser fetches in advance: nobody may ever see this."""
    held_frame: bool
    """The response is the document of a frame from another origin. Browsers hold such frames until somebody looks at
    the page, and then still send its `Sec-Purpose`."""
    gpc: bool
    """Global Privacy Control is on."""


def parse_client(headers: Mapping[bytes, bytes]) -> Client:
    """Return the client that these headers describe. `headers`: by lower-case name; only `HEADERS` are read."""
    agent = headers.get(b"user-agent")
    return Client(
        b"" if agent is None else _agent_member(agent[: AGENT_MAX + 1]),
        headers.get(b"sec-fetch-dest") == b"script",
        _purpose(headers) if not PURPOSES.isdisjoint(headers) else None,
        _is_held_frame(headers) if b"sec-purpose" in headers else False,
        headers.get(b"sec-gpc") == b"1",
    )


def _purpose(headers: Mapping[bytes, bytes]) -> Purpose | None:
    words = {word for name in PURPOSES if name in headers for word in _WORD.findall(headers[name].lower())}
    return next((purpose for purpose in Purpose if purpose.encode() in words), None)


def _is_held_frame(headers: Mapping[bytes, bytes]) -> bool:
    return headers.get(b"sec-fetch-dest") == b"iframe" and headers.get(b"sec-fetch-site", _SAME) != _SAME


@lru_cache(maxsize=_NETWORKS_CACHED)
def network_member(address: str) -> bytes:
    """Return the truncated address as a JSON member of an event line, preceded by a comma.

    Return `UNKNOWN_NETWORK` if it is not an address.
    """
    kept = truncate_address(address)
    return UNKNOWN_NETWORK if kept is None else b',"ip":"%b"' % kept.encode()


@lru_cache(maxsize=_AGENTS_CACHED)
def _agent_member(value: bytes) -> bytes:
    # The caller passes one byte more than is kept, which shows whether the value was cut.
    return b',"ua":' + orjson.dumps(decode_text(value, AGENT_MAX))


def referrer_member(value: bytes) -> bytes:
    """Return the referrer as a JSON member of an event line, preceded by a comma."""
    return b',"ref":' + orjson.dumps(decode_text(value, REFERRER_MAX))


def privacy_members(signals: Mapping[str, str], gpc: bool) -> bytes:
    """Return the privacy signals, and an opt-out that follows from them, as JSON members, each preceded by a comma."""
    members: dict[str, Any] = dict(signals)
    if gpc:
        members["gpc"] = 1
    if _opted_out(members):
        members["user_id"] = -1
    return b"," + orjson.dumps(members)[1:-1] if members else b""


def _opted_out(signals: Mapping[str, Any]) -> bool:
    return (
        "gpc" in signals
        or signals.get("consent") == "0"
        or signals.get("us_privacy", "")[2:3] in ("Y", "y")
        or (signals.get("gdpr") == "1" and not signals.get("gdpr_consent"))
    )
