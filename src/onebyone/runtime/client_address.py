"""IP addresses of clients: read from text, reduced to the network that may be stored, and looked for in networks."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address

from onebyone.setting_types import Network

NETWORK_BITS = {4: 24, 6: 48}
"""Bits of an address that may be stored, by the version of IP."""
UNKNOWN = "unknown"
"""The address of a client that nobody has named, or only in words; it lies in no network."""
_LENGTH_MAX = 64
"""Characters of an address: the longest has 45, and a zone beside it seldom more than 15."""
_CACHED = 16_384
"""Addresses that are remembered, in a few megabytes: a client sends several requests in a row."""


@lru_cache(maxsize=_CACHED)
def _parse(address: str) -> IPv4Address | IPv6Address | None:
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return None
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
        return parsed.ipv4_mapped
    return parsed


def parse_address(address: str) -> IPv4Address | IPv6Address | None:
    """Return an address without its zone, one that is mapped into IPv6 as IPv4; None for anything else."""
    return _parse(address) if len(address) <= _LENGTH_MAX else None


def truncate_address(address: str) -> str | None:
    """Return the network of an address (/24 of IPv4, /48 of IPv6) as text; None if it is not an address."""
    parsed = parse_address(address)
    if parsed is None:
        return None
    kept = NETWORK_BITS[parsed.version] // 8
    return str(type(parsed)(parsed.packed[:kept].ljust(len(parsed.packed), b"\0")))


def in_networks(address: str, networks: Iterable[Network]) -> bool:
    """Return whether the address lies in one of the networks."""
    parsed = parse_address(address)
    return parsed is not None and any(parsed in network for network in networks)


def is_loopback(address: str) -> bool:
    """Return whether the address means the machine itself."""
    parsed = parse_address(address)
    return parsed is not None and parsed.is_loopback
