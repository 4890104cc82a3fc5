"""Who asked, as little of it as may be kept: truncated address, agent, referrer, consent signals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, NamedTuple

import orjson

from onebyone.edge.tags.query import decode_text
from onebyone.settings import Network

AGENT_MAX = 512
REFERRER_MAX = 1024

PURPOSES = frozenset((b"sec-purpose", b"purpose", b"x-purpose", b"x-moz"))
HEADERS = frozenset((b"user-agent", b"sec-gpc", b"sec-fetch-dest", *PURPOSES))
"""Headers that `parse` looks at."""
_SKIPPED_PURPOSE = (b"prefetch", b"prerender", b"preview")


class Client(NamedTuple):
    """What a request's headers say, but for where it comes from: the same for many requests of one browser."""

    agent: bytes
    """As a JSON member of an event line with a comma in front; nothing when it is absent."""
    script: bool
    """The page runs what it gets as a script."""
    prefetch: bool
    """Nobody looks at this yet, says the browser."""
    gpc: bool
    """Global Privacy Control."""


def parse(headers: Mapping[bytes, bytes]) -> Client:
    """The visitor of `HEADERS`, by lower-case name."""
    agent = headers.get(b"user-agent")
    return Client(
        b"" if agent is None else _agent_member(agent[: AGENT_MAX + 1]),
        headers.get(b"sec-fetch-dest") == b"script",
        any(headers[name].lower().startswith(_SKIPPED_PURPOSE) for name in PURPOSES if name in headers),
        headers.get(b"sec-gpc") == b"1",
    )


def truncate_address(address: str) -> str | None:
    """The network of an address, /24 or /48, as text; None when it is no address."""
    parsed = _parse_address(address)
    if parsed is None:
        return None
    kept = 3 if parsed.version == 4 else 6
    return str(type(parsed)(parsed.packed[:kept].ljust(len(parsed.packed), b"\0")))


def _parse_address(address: str) -> IPv4Address | IPv6Address | None:
    try:
        parsed = ip_address(address)
    except ValueError:
        return None
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
        return parsed.ipv4_mapped
    return parsed


def in_networks(address: str, networks: Iterable[Network]) -> bool:
    """Whether the address lies in one of the networks."""
    parsed = _parse_address(address)
    return parsed is not None and any(parsed in network for network in networks)


def client_address(peer: str, headers: Iterable[tuple[bytes, bytes]], trusted: tuple[Network, ...]) -> str:
    """The peer, or the right-most hop of `X-Forwarded-For` that is not one of the trusted proxies."""
    if not trusted or not in_networks(peer, trusted):
        return peer
    forwarded = b",".join(value for name, value in headers if name == b"x-forwarded-for")
    address = peer
    for hop in reversed(forwarded.decode("latin-1").split(",")):
        hop = hop.strip()
        if _parse_address(hop) is None:
            break
        address = hop
        if not in_networks(hop, trusted):
            break
    return address


@lru_cache(maxsize=16384)
def network_member(address: str) -> bytes:
    """The truncated address as a JSON member of an event line with a comma in front; nothing when it is none."""
    kept = truncate_address(address)
    return b"" if kept is None else b',"ip":"%b"' % kept.encode()


@lru_cache(maxsize=8192)
def _agent_member(value: bytes) -> bytes:
    # One byte more than is kept shows that something was cut.
    return b',"ua":' + orjson.dumps(decode_text(value, AGENT_MAX))


def referrer_member(value: bytes) -> bytes:
    """The page as a JSON member of an event line with a comma in front."""
    return b',"ref":' + orjson.dumps(decode_text(value, REFERRER_MAX))


def privacy_members(signals: Mapping[str, str], gpc: bool) -> bytes:
    """The signals, and what follows from them, as JSON members of an event line, each with a comma in front."""
    found: dict[str, Any] = dict(signals)
    if gpc:
        found["gpc"] = 1
    if _opted_out(found):
        found["user_id"] = -1
    return b"," + orjson.dumps(found)[1:-1] if found else b""


def _opted_out(found: Mapping[str, Any]) -> bool:
    return (
        "gpc" in found
        or found.get("consent") == "0"
        or found.get("us_privacy", "")[2:3] in ("Y", "y")
        or (found.get("gdpr") == "1" and not found.get("gdpr_consent"))
    )
