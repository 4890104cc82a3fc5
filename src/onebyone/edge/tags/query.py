"""Parsing the query string of a tag by the original's rules (click-tracker-service, "Query String Parameters").

Names are lower case, in any of the spellings that `names.py` knows; of a repeated parameter the first one wins. If the
value of the first `redir` begins like a URL, it takes the raw rest of the query string; otherwise it is one
percent-encoded value like any other. A value that is a placeholder (`macros.py`) counts as absent.

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
from onebyone.contracts.signed_links import Signature
from onebyone.edge.tags.flags import Flag
from onebyone.edge.tags.macros import has_click_macro, is_macro
from onebyone.edge.tags.names import NAMES, REDIR, SIGNATURE, decode_name, differs_in_case, means_itself

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
_TARGET_PARAMETER = re.compile(rb"&[^&=]*=https?(?:(://)|%(?:25)*3a)", re.IGNORECASE)
"""The next parameter with a redirect target, which a click macro in front of it would have taken (Kritter)."""
_PLAIN = bytes(range(0x21, 0x7F)).replace(b"%", b"")
"""Printable ASCII without the byte that begins an escape."""
_PLAIN_NAMES = NAMES - {REDIR}
_NO_FLAGS: tuple[Flag, ...] = ()


class Parameters(NamedTuple):
    """The parameters of a query string."""

    values: dict[bytes, bytes]
    """By decoded name, percent-decoded once, without `redir` and without placeholders."""
    redir: bytes | None
    """The redirect target."""
    flags: tuple[Flag, ...]
    """What was odd about names and values."""


def parse_parameters(raw: bytes) -> Parameters:
    """Split and decode a raw query string. Accepts any bytes."""
    plain = _parse_plain(raw)
    return _parse_decoding(raw) if plain is None else plain


def _parse_plain(raw: bytes) -> Parameters | None:
    """Return the parameters of a query string in which nothing is encoded, odd or a `redir`; None for any other."""
    if raw.translate(None, _PLAIN):
        return None
    values: dict[bytes, bytes] = {}
    for pair in raw.split(b"&"):
        name, _, value = pair.partition(b"=")
        if value:
            if (name not in _PLAIN_NAMES and not means_itself(name)) or is_macro(value):
                return None
            values.setdefault(name, value)
    return Parameters(values, None, _NO_FLAGS)


def _parse_decoding(raw: bytes) -> Parameters:
    values: dict[bytes, bytes] = {}
    redir: bytes | None = None
    redir_seen = False
    flags: set[Flag] = set()
    end = -1
    for pair in raw.split(b"&"):
        end += 1 + len(pair)
        raw_name, _, value = pair.partition(b"=")
        name = decode_name(raw_name)
        if name == REDIR and not redir_seen and len(raw_name) < len(pair):
            redir_seen = True
            if _ABSOLUTE.match(value):
                redir = raw[end - len(value) :]
                break
            parameter = _TARGET_PARAMETER.match(raw, end) if is_macro(value) else None
            if parameter is not None:
                flags |= {Flag.MACRO_UNREPLACED, Flag.CLICK_MACRO_UNREPLACED}
                redir = value + raw[end : parameter.end()]
                if parameter[1]:
                    redir = raw[end - len(value) :]
                    break
                continue
            if has_click_macro(value):
                # The target cannot be followed: it is passed on as it is, to be refused.
                flags |= {Flag.MACRO_UNREPLACED, Flag.CLICK_MACRO_UNREPLACED}
                if _ABSOLUTE.search(value):
                    redir = raw[end - len(value) :]
                    break
            elif is_macro(value):
                flags.add(Flag.MACRO_UNREPLACED)
                continue
            redir = unquote_to_bytes(value) or None
        elif value and name != REDIR:
            if differs_in_case(name):
                flags.add(Flag.NAME_CASE)
            if name in values:
                continue
            if is_macro(value):
                flags.add(Flag.MACRO_UNREPLACED)
            else:
                values[name] = unquote_to_bytes(value) if b"%" in value else value
    return Parameters(values, redir, tuple(flag for flag in Flag if flag in flags) if flags else _NO_FLAGS)


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
    flags: tuple[Flag, ...]
    """What was odd about names and values."""
    signature: Signature | None = None
    """The signature of the link, unchecked."""


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
    return Tag(int(tracker_id), None if script is None else script == b"1", member, ancost, NO_SIGNALS, None, _NO_FLAGS)


def _parse_any(raw: bytes) -> Tag:
    values, redir, flags = parse_parameters(raw)
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
        flags,
        Signature(*(values.get(name, b"") for name in SIGNATURE)) if b"sig" in values else None,
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
