"""Who may use the endpoints for operators (`/metrics`, `/sinkz`): one rule for every role and every port.

A request with the operator's token is let in from anywhere. Any other needs all of these:

| what is looked at | refuses |
|---|---|
| headers of a proxy: only from a trusted one | what is forwarded by a proxy that the operator has not declared |
| the client's address: in `ONEBYONE_METRICS_FROM` | everybody else, and clients that no proxy names |
| `Host`: an IP address, `localhost`, or a name from the settings | pages whose own name resolves to this address |
| HTTP: newer than 1.0, unless forwarded by a trusted proxy | proxies that do not show themselves, as nginx by default |

The host of the public URL is accepted from trusted proxies alone: directly, only other proxies would send it.
"""

from __future__ import annotations

import hmac
import re
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from onebyone.runtime.client_address import in_networks, is_loopback, parse_address
from onebyone.runtime.trusted_proxies import Headers, TrustedProxies
from onebyone.settings import Settings

_BEARER = re.compile(rb"(?i:bearer) +([!-~]+)")
_HOST = re.compile(r"(?:\[([^\]]*)\]|([^:\[\]]*))(?::[0-9]*)?")


class OperatorAccess:
    """Decides with the peer and the headers of a request alone."""

    def __init__(self, settings: Settings) -> None:
        self._token = settings.ops_token.get_secret_value().encode()
        self._networks = settings.metrics_networks
        self._hosts = settings.operator_hosts
        self._public_host = urlsplit(settings.public_url).hostname
        self._proxies = TrustedProxies(settings)

    def refuse(self, request: Request) -> Response | None:
        """Return the answer to a request that is refused, or None if it may be answered."""
        peer = request.client.host if request.client else ""
        reason = self.refusal(peer, request.headers.raw, request.scope["http_version"])
        if reason is None:
            return None
        return PlainTextResponse(f"{reason}\n", 403, {"cache-control": "no-store", "x-content-type-options": "nosniff"})

    def refusal(self, peer: str, headers: Headers, http_version: str = "1.1") -> str | None:
        """Return why a request of this peer is refused, or None. Names in `headers` are in lower case."""
        headers = list(headers)
        if self._has_token(headers):
            return None
        forwarded = self._proxies.mark(headers)
        if forwarded and not self._proxies.include(peer):
            return "forwarded by a proxy that ONEBYONE_TRUSTED_PROXIES does not name"
        address = self._proxies.client_address(peer, headers)
        if not in_networks(address, self._networks):
            return "not for this address"
        if forwarded and is_loopback(address) and not is_loopback(peer):
            return "the proxy names a client on its own machine"
        if not forwarded and http_version == "1.0":
            return "HTTP/1.0 may come from a proxy that adds no header"
        hosts = [value.decode("latin-1") for name, value in headers if name == b"host"]
        if len(hosts) != 1 or not self._is_own_host(hosts[0], forwarded):
            return "not under this host name"
        return None

    def _has_token(self, headers: Headers) -> bool:
        sent = [value for name, value in headers if name == b"authorization"]
        if not self._token or len(sent) != 1 or (match := _BEARER.fullmatch(sent[0].strip())) is None:
            return False
        return hmac.compare_digest(match[1], self._token)

    def _is_own_host(self, value: str, forwarded: bool) -> bool:
        match = _HOST.fullmatch(value.strip())
        if match is None:
            return False
        in_brackets, name = match.groups()
        if name is None:
            return ":" in in_brackets and parse_address(in_brackets) is not None
        name = name.lower().removesuffix(".")
        public = forwarded and name == self._public_host
        return public or name in self._hosts or parse_address(name) is not None
