"""Types of settings that are more than a number or a text: lists, networks, hosts, URLs and tokens, checked as read."""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Annotated

from pydantic import AfterValidator, HttpUrl, SecretStr

Network = IPv4Network | IPv6Network

NOBODY = "none"
"""The value of a list of networks that is empty on purpose; an empty variable means its default."""
OPS_TOKEN_MIN = 16
"""Characters of an operator's token: too many to guess over the network."""
_MAPPED_BITS = 96
"""The length of ::ffff:0:0, in front of an IPv4 address that is mapped into IPv6."""


def _check_networks(value: str) -> str:
    parse_networks(value)
    return value


def parse_networks(value: str) -> tuple[Network, ...]:
    """Return the networks of a comma-separated list. Raise `ValueError`."""
    return () if value.strip() == NOBODY else tuple(_parse_network(part) for part in split_list(value))


def _parse_network(text: str) -> Network:
    network = ip_network(text, strict=False)
    mapped = network.network_address.ipv4_mapped if isinstance(network, IPv6Network) else None
    if mapped is None or network.prefixlen < _MAPPED_BITS:
        return network
    # Addresses that are mapped into IPv6 are compared as IPv4.
    return IPv4Network((mapped, network.prefixlen - _MAPPED_BITS))


def _check_token(value: SecretStr) -> SecretStr:
    token = value.get_secret_value()
    if token and re.fullmatch(f"[!-~]{{{OPS_TOKEN_MIN},}}", token) is None:
        raise ValueError(f"a token has at least {OPS_TOKEN_MIN} characters, all of them ASCII and none a space")
    return value


def _check_hosts(value: str) -> str:
    for part in split_list(value):
        if re.fullmatch(r"[A-Za-z0-9._-]+", part) is None:
            raise ValueError(f"not a host name without a port: {part!r}")
    return value


def split_list(value: str) -> list[str]:
    """Return the parts of a comma-separated list, without blanks around them and without empty ones."""
    return [part for part in (piece.strip() for piece in value.split(",")) if part]


def _check_limits(value: str) -> str:
    for part in split_list(value):
        service, _, number = part.partition("=")
        if not service or not number.isdigit():
            raise ValueError(f"not a limit: {part!r}")
    return value


def _check_public_url(value: str) -> str:
    """Return the URL percent-encoded and without a trailing slash; no browser reaches the address of all interfaces."""
    if not value:
        return value
    try:
        url = HttpUrl(value)
    except ValueError:
        url = None
    if url is None or url.username or url.password or url.query is not None or url.fragment is not None:
        raise ValueError("must be an http or https URL without a query, such as https://tags.example.com")
    text, host = str(url).rstrip("/"), url.host or ""
    return text.replace(host, "localhost", 1) if _is_every_address(host) else text


def _is_every_address(host: str) -> bool:
    try:
        address = ip_address(host.strip("[]"))
    except ValueError:
        return False
    return bool((getattr(address, "ipv4_mapped", None) or address).is_unspecified)


ObjectLimits = Annotated[str, AfterValidator(_check_limits)]
Networks = Annotated[str, AfterValidator(_check_networks)]
PublicUrl = Annotated[str, AfterValidator(_check_public_url)]
Hosts = Annotated[str, AfterValidator(_check_hosts)]
Token = Annotated[SecretStr, AfterValidator(_check_token)]
