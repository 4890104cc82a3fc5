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
_PAIR = re.compile(rb"(?:^|(?<=&))([^&=]*)=([^&]+)")
_NUMBER = re.compile(rb"[0-9]{1,19}")


class Query(NamedTuple):
    """Parameters by name, decoded once; `redir` is the target as it will be sent."""

    values: dict[bytes, bytes]
    redir: bytes | None
    macro_left: bool
    """Some value was a placeholder that the ad server did not replace; such values are left out."""


def parse(raw: bytes) -> Query:
    """Reads the raw query string; never fails."""
    if b"%" not in raw and b"[" not in raw and b"{" not in raw and b"redir=" not in raw:
        # Nothing to decode, no placeholder, no target: the usual tag. Reversed, because the first of a name wins.
        return Query(dict(reversed(_PAIR.findall(raw))), None, False)
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
    if _NUMBER.fullmatch(text) is None:
        return None
    number = int(text)
    return number if 0 < number < 2**63 else None
