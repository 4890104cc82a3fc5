"""Redirect targets: which may appear in `Location`, and which `redir` is approved (docs/reasons.md, "Redirects").

The browser's own parser decides where a link leads, so a WHATWG parser decides here too. A target that this parser
reads in a surprising way (userinfo, backslash, control bytes, no `//` after the scheme) is refused for every member.
"""

from __future__ import annotations

import re

import ada_url

from onebyone.contracts.configuration import MemberRecord

MAX_BYTES = 8192
"""Longest target: the usual limit of servers and proxies for one line."""

_PLAIN = re.compile(rb"https?://[^/\\?#@\x00-\x20\x7f]+(?:[/?#][^\\\x00-\x1f\x7f]*)?", re.IGNORECASE)
_UNSAFE = re.compile(rb"[^\x21-\x7e]")


def to_location(redir: bytes) -> bytes | None:
    """Return the target for `Location`, with spaces and non-ASCII bytes percent-encoded; None if it must be refused."""
    if len(redir) > MAX_BYTES or _PLAIN.fullmatch(redir) is None:
        return None
    location = _UNSAFE.sub(lambda byte: b"%%%02X" % byte[0][0], redir)
    return location if browser_host(location) is not None else None


def browser_host(location: bytes) -> str | None:
    """Return the host that a browser would contact for an absolute http(s) URL, in lower-case ASCII, None if none."""
    try:
        url = ada_url.URL(location.decode("ascii"))
    except ValueError:
        return None
    if url.protocol not in ("http:", "https:") or url.username or url.password or not url.hostname:
        return None
    return url.hostname


def is_approved(location: bytes, member: MemberRecord) -> bool:
    """Return whether the member allows redirects to `location`: to a host of its own click URLs, to one of its redirect
    domains or a subdomain, or, by the policy `any`, to every host."""
    host = browser_host(location)
    if host is None:
        return False
    if member.redirect_policy == "any" or host in member.click_hosts:
        return True
    return any(host == domain or host.endswith("." + domain) for domain in member.redirect_domains)
