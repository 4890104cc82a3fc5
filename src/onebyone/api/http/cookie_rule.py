"""The one rule for requests that use or set the session cookie: no page of another origin may have caused them.

A browser adds the cookie by itself, and `SameSite=Strict` keeps out neither other ports nor other sub-domains. Three
facts tell where such a request comes from:

- `Sec-Fetch-Site` (W3C Fetch Metadata); Chromium omits it on plain HTTP unless the host is a loopback one.
- `Origin`, which browsers send with every method but GET and HEAD (Fetch standard, "append a request Origin header";
  all major browsers since 2020), with forms and `no-cors` requests too. Older ones send `Referer`.
- The content type: a page sends JSON to another origin only after a preflight, which this API never approves.

A request without any of the three headers comes from a script or a very old browser. Scripts may label their JSON as
a urlencoded form, as `curl -d` does: a form of that type cannot hold JSON. One of type `text/plain` can.
"""

from __future__ import annotations

import re

from starlette.requests import Request

from onebyone.errors import Forbidden
from onebyone.runtime.trusted_proxies import TrustedProxies

OWN_HEADER = "x-requested-with"
"""A header that a page sends to another origin only after a preflight; it stands in for the JSON content type."""

_SAFE_METHODS = ("GET", "HEAD")
_BODILESS_METHODS = (*_SAFE_METHODS, "DELETE", "OPTIONS")
_OWN_SITES = ("same-origin", "none")
_JSON = re.compile(r"application/(?:[a-z0-9.+-]+\+)?json")
_FORGEABLE_TYPES = ("text/plain", "multipart/form-data")
"""Types of forms that even browsers without `Origin` send; the first can hold JSON."""
_ORIGIN = re.compile(r"(https?)://([^/?#@\\\s]+)(?:[/?#]|$)")
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


class CookieRule:
    """Decides with the request alone; the scheme that a proxy states is trusted from `proxies`."""

    def __init__(self, proxies: TrustedProxies) -> None:
        self._proxies = proxies

    def require_use(self, request: Request) -> None:
        """Raise `Forbidden` unless a request that relies on the cookie comes from a page of this API or a script."""
        self._require_own_origin(request)
        if request.method in _BODILESS_METHODS or _has_own_header(request):
            return
        media_type = _media_type(request)
        if not _JSON.fullmatch(media_type) and (_from_browser(request) or media_type in _FORGEABLE_TYPES):
            raise Forbidden("a write by cookie needs the content type application/json")

    def allows_login(self, request: Request) -> bool:
        """Return whether the answer to a login sets the cookie. Raise `Forbidden` when a foreign page may log in.

        The answer to a client that sends `Authorization` sets none.
        """
        if "authorization" in request.headers:
            return False
        self._require_own_origin(request)
        if _has_own_header(request) or _JSON.fullmatch(_media_type(request)):
            return True
        if _from_browser(request):
            raise Forbidden("a login in a browser needs the content type application/json")
        return _media_type(request) not in _FORGEABLE_TYPES

    def is_secure(self, request: Request) -> bool:
        """Return whether the connection of the client is encrypted, as far as a trusted proxy or the socket tells."""
        return self._scheme(request) == "https"

    def _require_own_origin(self, request: Request) -> None:
        sites = request.headers.getlist("sec-fetch-site")
        origins = request.headers.getlist("origin")
        if not sites and not origins and request.method not in _SAFE_METHODS:
            origins = request.headers.getlist("referer")
        own = _normalised(f"{self._scheme(request)}://{request.headers.get('host', '')}")
        allowed = {own}
        if "same-origin" in sites:
            # The browser has compared the schemes; an undeclared proxy in front of this API may end TLS.
            allowed.add(_normalised(f"https://{request.headers.get('host', '')}"))
        foreign_site = any(site not in _OWN_SITES for site in sites)
        if foreign_site or any((_normalised(origin) or "null") not in allowed for origin in origins):
            raise Forbidden("a request from another origin needs the Authorization header")

    def _scheme(self, request: Request) -> str:
        peer = request.client.host if request.client else ""
        forwarded = self._proxies.client_scheme(peer, request.headers.raw)
        return forwarded or str(request.scope.get("scheme", "http"))


def _normalised(url: str) -> str | None:
    """Return scheme, host and port without a default port, in lower case; None if the URL has no such origin."""
    match = _ORIGIN.match(url.strip().lower())
    return None if match is None else f"{match[1]}://{match[2].removesuffix(_DEFAULT_PORTS[match[1]])}"


def _media_type(request: Request) -> str:
    return re.split("[;,]", request.headers.get("content-type", ""), maxsplit=1)[0].strip().lower()


def _has_own_header(request: Request) -> bool:
    return OWN_HEADER in request.headers


def _from_browser(request: Request) -> bool:
    return any(name in request.headers for name in ("origin", "sec-fetch-site", "referer"))
