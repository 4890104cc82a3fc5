"""The address of a client, from its connection or from the proxies that the operator trusts, and its network."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address

from onebyone.settings import Network


def truncate_address(address: str) -> str | None:
    """Return the network of an address (/24 of IPv4, /48 of IPv6) as text; None if it is not an address."""
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
    """Return whether the address lies in one of the networks."""
    parsed = _parse_address(address)
    return parsed is not None and any(parsed in network for network in networks)


def client_address(peer: str, headers: Iterable[tuple[bytes, bytes]], trusted: tuple[Network, ...]) -> str:
    """Return what `forwarded_address` returns for all `X-Forwarded-For` among these headers."""
    if not trusted:
        return peer
    return forwarded_address(peer, b",".join(value for name, value in headers if name == b"x-forwarded-for"), trusted)


def forwarded_address(peer: str, forwarded: bytes, trusted: tuple[Network, ...]) -> str:
    """Return the peer, or, if the peer is a trusted proxy, the right-most hop of `forwarded` that is not one.

    `forwarded` is the value of `X-Forwarded-For`: addresses, each separated by a comma.
    """
    if not in_networks(peer, trusted):
        return peer
    address = peer
    for hop in reversed(forwarded.decode("latin-1").split(",")):
        hop = hop.strip()
        if _parse_address(hop) is None:
            break
        address = hop
        if not in_networks(hop, trusted):
            break
    return address
