"""URLs and host names that callers store and browsers follow, parsed as the WHATWG URL standard says."""

from __future__ import annotations

import re

from ada_url import URL

MAX_LENGTH = 2000
"""Characters of a URL: the width of its column, and about what browsers and proxies carry."""
URL_SCHEMA = {"pattern": "^[Hh][Tt][Tt][Pp][Ss]?://", "maxLength": MAX_LENGTH}
"""JSON Schema of a redirect target: the format `uri` allows less than the WHATWG URL standard."""
DOMAIN_SCHEMA = {"format": "idn-hostname", "minLength": 1, "maxLength": 254}
"""JSON Schema of a host name as callers write it, maybe with a closing dot."""
_SHAPE = re.compile(r"https?://([^/?#\\]+)[^\\]*", re.IGNORECASE)
_BLANK_OR_CONTROL = re.compile(r"[\s\x00-\x1f\x7f-\x9f]")
_WRITTEN_HOST = re.compile(r"[^\s\x00-\x20\x7f/?#@:\\%\[\]<>^|]{1,253}")
_NAME = re.compile(r"([a-z0-9_-]+\.)+[a-z0-9_-]+|localhost")


def target_host(url: str) -> str:
    """Return the ASCII host of a redirect target. Raise `ValueError` for a text that must never be one."""
    if len(url) > MAX_LENGTH:
        raise ValueError(f"at most {MAX_LENGTH} characters")
    if _BLANK_OR_CONTROL.search(url):
        raise ValueError("blanks and control characters are not allowed")
    shape = _SHAPE.fullmatch(url)
    if shape is None:
        raise ValueError("must be an http or https URL with a host and without backslashes")
    if "@" in shape[1]:
        raise ValueError("a user name in the URL is not allowed")
    try:
        parsed = URL(url)
    except ValueError:
        raise ValueError("not a valid URL") from None
    if parsed.protocol not in ("http:", "https:") or not parsed.hostname or parsed.username or parsed.password:
        raise ValueError("must be an http or https URL with a host")
    if len(parsed.hostname) > 255:
        raise ValueError("the host is too long")
    return str(parsed.hostname)


def ascii_domain(text: str) -> str:
    """Return a host name in lower-case ASCII without a closing dot. Raise `ValueError` unless it is a full one."""
    text = text.rstrip(".")
    try:
        name = str(URL(f"https://{text}/").hostname) if _WRITTEN_HOST.fullmatch(text) else ""
    except ValueError:
        name = ""
    # A lone label such as "com" would approve every host under it.
    if not _NAME.fullmatch(name) or len(name) > 253:
        raise ValueError("not a full host name")
    return name
