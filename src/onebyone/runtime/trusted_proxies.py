"""Where a request comes from: the peer of its connection, or the client that a trusted proxy names."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache, partial

from onebyone.runtime.client_address import UNKNOWN, in_networks, parse_address
from onebyone.runtime.forwarded_hops import FORWARDED, nearest_scheme, read_hops
from onebyone.settings import Settings

Headers = Iterable[tuple[bytes, bytes]]
"""Names in lower case, and values, in the order in which they were sent."""

_PEERS_CACHED = 4096
"""Peers of which is remembered whether they are proxies, in less than a megabyte; there are far fewer proxies."""
FORWARDING_HEADERS = frozenset(
    (
        *(FORWARDED, b"x-forwarded-for", b"via", b"x-real-ip", b"x-client-ip", b"client-ip", b"true-client-ip"),
        *(b"x-cluster-client-ip", b"x-proxyuser-ip", b"x-remote-ip", b"x-remote-addr", b"x-originating-ip"),
        *(b"wl-proxy-client-ip", b"proxy-client-ip", b"forwarded-for", b"x-host", b"x-nf-client-connection-ip"),
        *(b"x-scheme", b"x-url-scheme", b"front-end-https", b"x-real-port", b"surrogate-capability", b"max-forwards"),
        *(b"cf-connecting-ip", b"cf-connecting-ipv6", b"fastly-client-ip", b"fly-client-ip", b"do-connecting-ip"),
    )
)
"""Headers by which common proxies show that they forward a request, beside those that begin with `_PREFIXES`."""
_PREFIXES = (
    *(b"x-forwarded", b"x-original-", b"x-envoy-", b"x-azure-", b"x-arr-", b"x-appengine-", b"x-vercel-"),
    *(b"cf-", b"cdn-", b"cloudfront-", b"fastly-", b"fly-", b"x-amz-cf-", b"x-varnish"),
    *(b"akamai-", b"x-akamai-", b"incap-", b"x-sucuri-", b"x-traefik-", b"x-amzn-", b"tailscale-", b"ngrok-"),
)


class TrustedProxies:
    """The proxies that the operator trusts, and the header in which they name the client."""

    def __init__(self, settings: Settings) -> None:
        self.networks = settings.proxy_networks
        self.header_name = settings.client_address_header.encode()
        """As the operator spells it, which is how most proxies do."""
        self.header = self.header_name.lower()
        self.include: Callable[[str], bool] = lru_cache(_PEERS_CACHED)(partial(in_networks, networks=self.networks))
        """Returns whether this peer of a connection is a trusted proxy."""

    def client_address(self, peer: str, headers: Headers) -> str:
        """Return the address of the client that caused a request; `UNKNOWN` if nobody who is trusted names it.

        That is the peer; or, if the peer is a trusted proxy, the right-most hop that is not one. A trusted proxy that
        forwards nothing speaks for itself.
        """
        address = parse_address(peer)
        if address is None:
            return UNKNOWN
        if not self.include(peer):
            return str(address)
        headers = list(headers)
        values = [value for name, value in headers if name == self.header]
        if not values:
            return UNKNOWN if self.mark(headers) else str(address)
        client = UNKNOWN
        for hop in read_hops(self.header, b",".join(values)):
            if hop is None:
                return UNKNOWN
            client = hop
            if not self.include(hop):
                break
        return client

    def client_scheme(self, peer: str, headers: Headers) -> str | None:
        """Return the scheme of the client's connection as the nearest proxy states it; None if nobody trusted does.

        A client can make up what other hops state. `Forwarded` is read where it is the header that names the client.
        """
        if not self.include(peer):
            return None
        header = FORWARDED if self.header == FORWARDED else b"x-forwarded-proto"
        value = b",".join(value for name, value in headers if name == header)
        if header == FORWARDED:
            return nearest_scheme(value)
        return value.rpartition(b",")[2].strip().decode("latin-1").lower() or None

    def mark(self, headers: Headers) -> bool:
        """Return whether the headers bear the mark of a proxy, trusted or not."""
        return any(
            name == self.header or name in FORWARDING_HEADERS or name.startswith(_PREFIXES) for name, _ in headers
        )
