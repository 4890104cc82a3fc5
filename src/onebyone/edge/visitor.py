"""Who asked, as little of it as may be kept: truncated address, agent, referrer, consent signals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

import orjson

from onebyone.events import CONSENT
from onebyone.settings import Network

AGENT_MAX = 512
REFERRER_MAX = 1024
CONSENT_MAX = 2048
CACHEBUSTER_MAX = 64

_CONSENT = tuple((name.encode(), name) for name in CONSENT)
_SIGNALS = frozenset(raw for raw, _ in _CONSENT)
HEADERS = frozenset((b"user-agent", b"referer", b"sec-gpc"))
"""Headers that `facts` reads."""
PURPOSES = frozenset((b"sec-purpose", b"purpose", b"x-purpose", b"x-moz"))
_SKIPPED_PURPOSE = (b"prefetch", b"prerender", b"preview")

Headers = Mapping[bytes, bytes]


def text(value: bytes, limit: int) -> str:
    """At most `limit` bytes of a header or parameter as text; bytes that are not UTF-8 read as Latin-1."""
    kept = value[:limit]
    try:
        return kept.decode("utf-8")
    except UnicodeDecodeError as error:
        if len(value) > limit and error.reason == "unexpected end of data":
            # The cut went through a character.
            return kept[: error.start].decode("utf-8")
        return kept.decode("latin-1")


@lru_cache(maxsize=16384)
def truncate(address: str) -> str | None:
    """The network of an address, /24 or /48, as text; None when it is no address."""
    parsed = _parse(address)
    if parsed is None:
        return None
    prefix = 24 if parsed.version == 4 else 48
    return str(ip_network((parsed, prefix), strict=False).network_address)


def _parse(address: str) -> IPv4Address | IPv6Address | None:
    try:
        parsed = ip_address(address)
    except ValueError:
        return None
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
        return parsed.ipv4_mapped
    return parsed


def inside(address: str, networks: Iterable[Network]) -> bool:
    """Whether the address lies in one of the networks."""
    parsed = _parse(address)
    return parsed is not None and any(parsed in network for network in networks)


def client_address(peer: str, headers: Iterable[tuple[bytes, bytes]], trusted: tuple[Network, ...]) -> str:
    """The peer, or the right-most hop of `X-Forwarded-For` that is not one of the trusted proxies."""
    if not trusted or not inside(peer, trusted):
        return peer
    forwarded = b",".join(value for name, value in headers if name == b"x-forwarded-for")
    address = peer
    for hop in reversed(forwarded.decode("latin-1").split(",")):
        hop = hop.strip()
        if _parse(hop) is None:
            break
        address = hop
        if not inside(hop, trusted):
            break
    return address


def is_prefetch(headers: Headers) -> bool:
    """Whether the browser says that nobody looks at this yet."""
    if PURPOSES.isdisjoint(headers):
        return False
    return any(headers[name].lower().startswith(_SKIPPED_PURPOSE) for name in PURPOSES if name in headers)


def facts(values: Mapping[bytes, bytes], headers: Headers, address: str) -> bytes:
    """The event fields that say who asked (`events.Event`) as JSON members, each with a comma in front.

    An absent fact is an absent field. The texts of one agent or page come again and again, so they are encoded once;
    one byte more than is kept shows that something was cut.
    """
    found = _network(address)
    if (agent := headers.get(b"user-agent")) is not None:
        found += _agent(agent[: AGENT_MAX + 1])
    if (referrer := headers.get(b"referer")) is not None:
        found += _referrer(referrer[: REFERRER_MAX + 1])
    if (cachebuster := values.get(b"cachebuster")) is not None:
        if cachebuster.isalnum() and len(cachebuster) <= CACHEBUSTER_MAX:
            found += b',"cb":"%b"' % cachebuster
        else:
            found += b',"cb":%b' % orjson.dumps(text(cachebuster, CACHEBUSTER_MAX))
    if b"sec-gpc" in headers or not _SIGNALS.isdisjoint(values):
        found += _privacy(values, headers)
    return found


@lru_cache(maxsize=16384)
def _network(address: str) -> bytes:
    network = truncate(address)
    return b"" if network is None else b',"ip":"%b"' % network.encode()


@lru_cache(maxsize=8192)
def _agent(value: bytes) -> bytes:
    return b',"ua":' + orjson.dumps(text(value, AGENT_MAX))


@lru_cache(maxsize=4096)
def _referrer(value: bytes) -> bytes:
    return b',"ref":' + orjson.dumps(text(value, REFERRER_MAX))


def _privacy(values: Mapping[bytes, bytes], headers: Headers) -> bytes:
    found: dict[str, Any] = {}
    for raw, name in _CONSENT:
        if raw in values:
            found[name] = text(values[raw], CONSENT_MAX)
    if headers.get(b"sec-gpc") == b"1":
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
