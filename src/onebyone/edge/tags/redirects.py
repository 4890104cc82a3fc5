"""Redirect targets: what may stand in `Location`, and which `redir` is approved (docs/reasons.md, "Redirects").

A browser's own parser decides where a link leads, so a WHATWG parser decides here too. A target that it reads in a
surprising way (userinfo, backslash, control bytes, no `//` after the scheme) is refused, whoever asks for it.
"""

from __future__ import annotations

import re

import ada_url

from onebyone.contracts.configuration import MemberRecord

MAX_BYTES = 8192

_PLAIN = re.compile(rb"https?://[^/\\?#@\x00-\x20\x7f]+(?:[/?#][^\\\x00-\x1f\x7f]*)?", re.IGNORECASE)
_UNSAFE = re.compile(rb"[^\x21-\x7e]")


def to_location(redir: bytes) -> bytes | None:
    """The target for `Location`, spaces and non-ASCII percent-encoded; None when it must be refused."""
    if len(redir) > MAX_BYTES or _PLAIN.fullmatch(redir) is None:
        return None
    location = _UNSAFE.sub(lambda byte: b"%%%02X" % byte[0][0], redir)
    return location if browser_host(location) is not None else None


def browser_host(location: bytes) -> str | None:
    """Host of an absolute http(s) URL as a browser would reach it (ASCII, lower case); None when there is none."""
    try:
        url = ada_url.URL(location.decode("ascii"))
    except ValueError:
        return None
    if url.protocol not in ("http:", "https:") or url.username or url.password or not url.hostname:
        return None
    return url.hostname


def is_approved(location: bytes, member: MemberRecord) -> bool:
    """Whether the member lets its trackers send people to `location`: a host of its own click URLs, one of its
    redirect domains or below it, or the policy `any`."""
    host = browser_host(location)
    if host is None:
        return False
    if member.redirect_policy == "any" or host in member.click_hosts:
        return True
    return any(host == domain or host.endswith("." + domain) for domain in member.redirect_domains)
