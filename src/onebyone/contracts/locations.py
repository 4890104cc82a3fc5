"""What of a redirect target is sent in `Location`: the same for a stored click URL and for a `redir` in a tag.

The browser's own parser decides where a link leads, so a WHATWG parser decides here too. A target that this parser
reads in a surprising way (userinfo, backslash, control bytes, no `//` after the scheme) is refused.
"""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

import ada_url

MAX_BYTES = 8192
"""Longest target: the usual limit of servers and proxies for one line."""

_PLAIN = re.compile(rb"https?://([^/\\?#@\x00-\x20\x7f]+)(?:[/?#][^\\\x00-\x1f\x7f]*)?", re.IGNORECASE)
_UNSAFE = re.compile(rb"[^\x21-\x7e]")
_NUMBER_OF_PORT = re.compile(rb":[0-9]*\Z")


def to_location(target: bytes) -> bytes | None:
    """Return the target for `Location`, None if it must be refused. Only an internationalised host is converted, to
    ASCII, because many clients resolve no other, and blanks and non-ASCII bytes elsewhere are percent-encoded."""
    plain = None if len(target) > MAX_BYTES else _PLAIN.fullmatch(target)
    if plain is None:
        return None
    location = _encode_unsafe(target)
    host = browser_host(location)
    if host is None:
        return None
    authority = plain[1]
    if unquote_to_bytes(authority).isascii():
        return location
    port = _NUMBER_OF_PORT.search(authority)
    written = host.encode() + (b"" if port is None else port[0])
    return target[: plain.start(1)] + written + _encode_unsafe(target[plain.end(1) :])


def browser_host(location: bytes) -> str | None:
    """Return the host that a browser would contact for an absolute http(s) URL, in lower-case ASCII, None if none."""
    try:
        url = ada_url.URL(location.decode("ascii"))
    except ValueError:
        return None
    if url.protocol not in ("http:", "https:") or url.username or url.password or not url.hostname:
        return None
    return url.hostname


def _encode_unsafe(text: bytes) -> bytes:
    return _UNSAFE.sub(lambda byte: b"%%%02X" % byte[0][0], text)
