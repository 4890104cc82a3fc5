"""The query string of a tag, read by the original's rules (click-tracker-service, "Query String Parameters").

Names are lower case, the first of repeated parameters wins. `redir` swallows the raw rest of the query when that
begins like a URL; else it is one percent-encoded value like any other.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

_ABSOLUTE = re.compile(rb"https?://", re.IGNORECASE)
_MACRO = re.compile(rb"\[.*\]|\$\{.*\}|%%.*%%|\{.*\}", re.DOTALL)
_PLAIN = bytes(set(range(0x21, 0x7F)) - set(b"%[{"))
"""Without these three there is nothing to decode and no placeholder, which is the usual tag."""


class Query(NamedTuple):
    """Parameters by name, decoded once; `redir` is the target as it will be sent."""

    values: dict[bytes, bytes]
    redir: bytes | None
    macro_left: bool
    """Some value was a placeholder that the ad server did not replace; such values are left out."""


def parse(raw: bytes) -> Query:
    """Reads the raw query string; never fails."""
    if not raw.translate(None, _PLAIN):
        plain: dict[bytes, bytes] = {}
        for pair in raw.split(b"&"):
            name, _, value = pair.partition(b"=")
            if value:
                plain.setdefault(name, value)
        if b"redir" not in plain:
            return Query(plain, None, False)
    values: dict[bytes, bytes] = {}
    macro_left = False
    redir: bytes | None = None
    if raw.startswith(b"redir="):
        head, found, tail = b"", True, raw[6:]
    else:
        head, separator, tail = raw.partition(b"&redir=")
        found = bool(separator)
    pairs = head.split(b"&")
    if found:
        if _ABSOLUTE.match(tail):
            redir = tail
        else:
            encoded, _, after = tail.partition(b"&")
            pairs += after.split(b"&")
            redir = unquote_to_bytes(encoded) or None
            if redir is not None and (_MACRO.fullmatch(encoded) or _MACRO.fullmatch(redir)):
                redir = None
                macro_left = True
    for pair in pairs:
        name, _, value = pair.partition(b"=")
        if not value or name in values:
            continue
        if _MACRO.fullmatch(value):
            macro_left = True
            continue
        if b"%" in value:
            value = unquote_to_bytes(value)
            if _MACRO.fullmatch(value):
                macro_left = True
                continue
        values[name] = value
    return Query(values, redir, macro_left)


def tracker_id(query: Query) -> int | None:
    """The tracker's id: ASCII digits, 1 to 2**63 - 1; None when it is absent or anything else."""
    text = query.values.get(b"id", b"")
    if len(text) > 19 or not text.isdigit():
        return None
    number = int(text)
    return number if 0 < number < 2**63 else None
