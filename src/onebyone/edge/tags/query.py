"""Parsing the query string of a tag by the original's rules (click-tracker-service, "Query String Parameters").

Names are lower case; of a repeated parameter the first one wins. If the value of `redir` begins like a URL, it takes
the raw rest of the query string; otherwise it is one percent-encoded value like any other.

Nearly all requests carry the parameters that the tag generator writes, in its order and with nothing to decode. One
regular expression, `USUAL`, parses those in a fraction of the time.
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
"""The usual query string; its groups are the values of `Tag` of the same names. Its lengths are those up to which no
value is refused or cut, except for `ancost`, which is checked later."""
CACHEBUSTER_MAX = 64
"""Bytes of a cachebuster that are kept: twice a UUID."""
CONSENT_MAX = 2048
"""Bytes of a privacy signal that are kept: more than a TCF consent string needs."""
_ID_DIGITS_MAX = 19
"""Digits of 2**63 - 1, checked before `int`, whose time grows with the square of the length."""

_ABSOLUTE = re.compile(rb"https?://", re.IGNORECASE)
_MACRO = re.compile(rb"\[.*\]|\$\{.*\}|%%.*%%|\{.*\}", re.DOTALL)
_PLAIN = bytes(set(range(0x21, 0x7F)) - set(b"%[{"))
"""Printable ASCII without the three bytes that begin an escape or a placeholder: a query string of only these, as the
usual tag has, needs no decoding."""


class Parameters(NamedTuple):
    """The parameters of a query string."""

    values: dict[bytes, bytes]
    """By name, percent-decoded once, without `redir`."""
    redir: bytes | None
    """The redirect target."""
    macro_unreplaced: bool
    """A value was a placeholder that the ad server had not replaced; such values are omitted."""


def parse_parameters(raw: bytes) -> Parameters:
    """Split and decode a raw query string. Accepts any bytes."""
    if not raw.translate(None, _PLAIN):
        plain: dict[bytes, bytes] = {}
        for pair in raw.split(b"&"):
            name, _, value = pair.partition(b"=")
            if value:
                plain.setdefault(name, value)
        if b"redir" not in plain:
            return Parameters(plain, None, False)
    values: dict[bytes, bytes] = {}
    macro_unreplaced = False
    redir: bytes | None = None
    if raw.startswith(b"redir="):
        head, separator, tail = b"", b"redir=", raw[6:]
    else:
        head, separator, tail = raw.partition(b"&redir=")
    pairs = head.split(b"&")
    if separator:
        if _ABSOLUTE.match(tail):
            redir = tail
        else:
            encoded, _, after = tail.partition(b"&")
            pairs += after.split(b"&")
            redir = unquote_to_bytes(encoded) or None
            if redir is not None and (_MACRO.fullmatch(encoded) or _MACRO.fullmatch(redir)):
                redir = None
                macro_unreplaced = True
    for pair in pairs:
        name, _, value = pair.partition(b"=")
        if not value or name in values:
            continue
        if _MACRO.fullmatch(value):
            macro_unreplaced = True
            continue
        if b"%" in value:
            value = unquote_to_bytes(value)
            if _MACRO.fullmatch(value):
                macro_unreplaced = True
                continue
        values[name] = value
    return Parameters(values, redir, macro_unreplaced)


class Tag(NamedTuple):
    """What the edge needs of a tag's query string."""

    tracker_id: int | None
    """1 to 2**63 - 1; None if `id` is missing or anything but ASCII digits."""
    script: bool | None
    """Whether `t` asks for a script; None if it is missing."""
    cachebuster: bytes
    """As a JSON member of an event line, preceded by a comma; empty if it is missing."""
    ancost: bytes | None
    """The media cost as it was given, unchecked."""
    signals: Mapping[str, str]
    """Privacy signals, by the names of `events.CONSENT`."""
    redir: bytes | None
    """The redirect target, unchecked."""
    macro_unreplaced: bool
    """A value was a placeholder that the ad server had not replaced."""


NO_SIGNALS: Mapping[str, str] = {}
_SIGNALS = tuple((name.encode(), name) for name in CONSENT)
_SIGNAL_NAMES = frozenset(raw for raw, _ in _SIGNALS)


def parse_tag(raw: bytes) -> Tag:
    """Return the tag of a raw query string. Accepts any bytes."""
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
    values, redir, macro_unreplaced = parse_parameters(raw)
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
        macro_unreplaced,
    )


def decode_text(value: bytes, limit: int) -> str:
    """Decode at most `limit` bytes of a header or parameter as UTF-8, or as Latin-1 if they are not UTF-8."""
    kept = value[:limit]
    try:
        return kept.decode("utf-8")
    except UnicodeDecodeError as error:
        if len(value) > limit and error.reason == "unexpected end of data":
            # The limit cuts a character in two.
            return kept[: error.start].decode("utf-8")
        return kept.decode("latin-1")


def _tracker_id(digits: bytes) -> int | None:
    if len(digits) > _ID_DIGITS_MAX or not digits.isdigit():
        return None
    tracker_id = int(digits)
    return tracker_id if 0 < tracker_id < 2**63 else None
