"""The query string of a tag, read by the original's rules (click-tracker-service, "Query String Parameters").

Names are lower case, the first of repeated parameters wins. `redir` swallows the raw rest of the query when that
begins like a URL; else it is one percent-encoded value like any other.

Nearly all requests carry the parameters that the tag generator writes, in its order and with nothing to decode; one
regular expression, `USUAL`, reads those in a fraction of the time.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

import orjson

from onebyone.contracts.events import CONSENT

CACHEBUSTER_SEPARATOR, ANCOST_SEPARATOR = b"&cachebuster=", b"&ancost="
"""What precedes the two values in a usual query string."""
USUAL = re.compile(
    rb"id=([1-9][0-9]{0,17})(?:&t=([0-9]))?"
    rb"(?:%b([0-9A-Za-z]{1,64}))?(?:%b([0-9.]{1,15}))?" % (CACHEBUSTER_SEPARATOR, ANCOST_SEPARATOR)
)
"""The usual query string: the groups are the values of `Tag` of the same names."""
CACHEBUSTER_MAX = 64
CONSENT_MAX = 2048

_ABSOLUTE = re.compile(rb"https?://", re.IGNORECASE)
_MACRO = re.compile(rb"\[.*\]|\$\{.*\}|%%.*%%|\{.*\}", re.DOTALL)
_PLAIN = bytes(set(range(0x21, 0x7F)) - set(b"%[{"))
"""Without these three there is nothing to decode and no placeholder, which is the usual tag."""


class Parameters(NamedTuple):
    """Parameters by name, decoded once; `redir` is the target as it will be sent."""

    values: dict[bytes, bytes]
    redir: bytes | None
    macro_left: bool
    """Some value was a placeholder that the ad server did not replace; such values are left out."""


def parse_parameters(raw: bytes) -> Parameters:
    """Reads the raw query string; never fails."""
    if not raw.translate(None, _PLAIN):
        plain: dict[bytes, bytes] = {}
        for pair in raw.split(b"&"):
            name, _, value = pair.partition(b"=")
            if value:
                plain.setdefault(name, value)
        if b"redir" not in plain:
            return Parameters(plain, None, False)
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
    return Parameters(values, redir, macro_left)


class Tag(NamedTuple):
    """What the edge reads of a query string."""

    tracker_id: int | None
    """1 to 2**63 - 1; None when it is absent or anything but ASCII digits."""
    script: bool | None
    """Whether `t` asks for a script; None: it says nothing."""
    cachebuster: bytes
    """As a JSON member of an event line with a comma in front; nothing when it is absent."""
    ancost: bytes | None
    signals: Mapping[str, str]
    """Privacy signals, by the names of `events.CONSENT`."""
    redir: bytes | None
    macro_left: bool


NO_SIGNALS: Mapping[str, str] = {}
_SIGNALS = tuple((name.encode(), name) for name in CONSENT)
_SIGNAL_NAMES = frozenset(raw for raw, _ in _SIGNALS)


def parse(raw: bytes) -> Tag:
    """Return the tag of any query string; never raise."""
    usual = parse_usual(raw)
    return _parse_any(raw) if usual is None else usual


def parse_usual(raw: bytes) -> Tag | None:
    """Return the tag of a usual query string; None for any other."""
    usual = USUAL.fullmatch(raw)
    if usual is None:
        return None
    tracker_id, script, cachebuster, ancost = usual.groups()
    member = b"" if cachebuster is None else b',"cb":"%b"' % cachebuster
    return Tag(int(tracker_id), None if script is None else script == b"1", member, ancost, NO_SIGNALS, None, False)


def _parse_any(raw: bytes) -> Tag:
    values, redir, macro_left = parse_parameters(raw)
    kind, cachebuster = values.get(b"t"), values.get(b"cachebuster")
    signals = NO_SIGNALS
    if not _SIGNAL_NAMES.isdisjoint(values):
        signals = {name: decode_text(values[raw], CONSENT_MAX) for raw, name in _SIGNALS if raw in values}
    return Tag(
        _tracker_id(values.get(b"id", b"")),
        None if kind is None else kind == b"1",
        b"" if cachebuster is None else b',"cb":' + orjson.dumps(decode_text(cachebuster, CACHEBUSTER_MAX)),
        values.get(b"ancost"),
        signals,
        redir,
        macro_left,
    )


def decode_text(value: bytes, limit: int) -> str:
    """At most `limit` bytes of a header or parameter as text; bytes that are not UTF-8 read as Latin-1."""
    kept = value[:limit]
    try:
        return kept.decode("utf-8")
    except UnicodeDecodeError as error:
        if len(value) > limit and error.reason == "unexpected end of data":
            # The cut went through a character.
            return kept[: error.start].decode("utf-8")
        return kept.decode("latin-1")


def _tracker_id(digits: bytes) -> int | None:
    if len(digits) > 19 or not digits.isdigit():
        return None
    number = int(digits)
    return number if 0 < number < 2**63 else None
