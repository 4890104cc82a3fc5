"""The names of a tag's parameters, in every spelling in which a tag may arrive.

Tags are copied through editors, templates and ad servers. Some escape `&` as HTML, once or more, so that the rest of it
becomes the beginning of the next name (`amp;ancost`); others percent-encode names (`us%5Fprivacy`). The name that was
meant is certain in both cases. A name in another case is not: the original distinguishes case, so it is only flagged.
"""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

from onebyone.contracts.events import CONSENT

REDIR = b"redir"
SIGNATURE = (b"sig", b"exp", b"kid")
"""The parameters of a signed link, in the order of `Signature`."""
NAMES = frozenset((b"id", b"t", b"cachebuster", b"ancost", REDIR, *SIGNATURE, *(name.encode() for name in CONSENT)))
"""The parameters that the edge reads."""

ENCODINGS_MAX = 3
"""Layers of percent-encoding that are removed from a name or placeholder: ad servers encode up to three times."""

_ENCODED_MAX = 256
"""Bytes of the longest name that is decoded: more than any spelling of a known name that an ad server writes."""

ESCAPE = re.compile(rb"%[0-9A-Fa-f]{2}")
_AMPERSAND = re.compile(rb"(?:&|(?:amp|#0*38|#x0*26);)+", re.IGNORECASE)
"""The rest of an `&` that was escaped as HTML, by name, decimal or hexadecimal, once or several times; where it was
percent-encoded as well, the `&` itself."""


def decode_name(raw: bytes) -> bytes:
    """Return the name that is meant, in the case in which it was sent. Accepts any bytes."""
    if raw in NAMES or len(raw) > _ENCODED_MAX:
        return raw
    name = raw
    for _ in range(ENCODINGS_MAX):
        if ESCAPE.search(name) is None:
            break
        name = unquote_to_bytes(name)
    escaped = _AMPERSAND.match(name)
    return name if escaped is None else name[escaped.end() :]


def differs_in_case(name: bytes) -> bool:
    """Return whether a decoded name would be a known one if it were in lower case."""
    return name not in NAMES and name.lower() in NAMES


def means_itself(name: bytes) -> bool:
    """Return whether an unknown name without escapes is not a spelling of a known one, in any case."""
    return b";" not in name and name.lower() not in NAMES
