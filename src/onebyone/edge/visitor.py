"""Who asked, as little of it as may be kept: truncated address, agent, referrer, consent signals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

from onebyone.events import CONSENT
from onebyone.settings import Network

AGENT_MAX = 512
REFERRER_MAX = 1024
CONSENT_MAX = 2048
CACHEBUSTER_MAX = 64

_CONSENT = tuple((name.encode(), name) for name in CONSENT)
_SKIPPED_PURPOSE = (b"prefetch", b"prerender", b"preview")

Headers = Mapping[bytes, bytes]


def text(value: bytes, limit: int) -> str:
    """At most `limit` bytes of a header or parameter as text; bytes that are not UTF-8 read as Latin-1."""
    value = value[:limit]
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")


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
    for name in (b"sec-purpose", b"purpose", b"x-purpose", b"x-moz"):
        value = headers.get(name)
        if value is not None and value.lower().startswith(_SKIPPED_PURPOSE):
            return True
    return False


def facts(values: Mapping[bytes, bytes], headers: Headers, address: str) -> dict[str, Any]:
    """The optional event fields that say who asked (`events.Event`); absent facts are absent keys."""
    found: dict[str, Any] = {}
    network = truncate(address)
    if network is not None:
        found["ip"] = network
    if (agent := headers.get(b"user-agent")) is not None:
        found["ua"] = text(agent, AGENT_MAX)
    if (referrer := headers.get(b"referer")) is not None:
        found["ref"] = text(referrer, REFERRER_MAX)
    if (cachebuster := values.get(b"cachebuster")) is not None:
        found["cb"] = text(cachebuster, CACHEBUSTER_MAX)
    for raw, name in _CONSENT:
        if raw in values:
            found[name] = text(values[raw], CONSENT_MAX)
    if headers.get(b"sec-gpc") == b"1":
        found["gpc"] = 1
    if _opted_out(found):
        found["user_id"] = -1
    return found


def _opted_out(found: Mapping[str, Any]) -> bool:
    return (
        "gpc" in found
        or found.get("consent") == "0"
        or found.get("us_privacy", "")[2:3] in ("Y", "y")
        or (found.get("gdpr") == "1" and not found.get("gdpr_consent"))
    )
