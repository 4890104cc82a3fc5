"""Event lines taken apart: what many events share is parsed and checked once, and then looked up by its bytes.

An edge writes a line as its tracker's fragment, then `ip`, `ua`, `ref` and `cb` as far as they are known, then whatever
else the request said (`edge/tags/decision.py`). A line in that form is the concatenation of

* the *head*: all before `ip`, the same for all events of a tracker,
* the four texts, of which nothing is used but the page of a click: without quotes, backslashes, control bytes and
  invalid UTF-8 they are valid JSON strings whatever they say,
* the *tail*: all after `cb`, mostly nothing or the cost.

Head and tail are parsed as JSON objects of their own and checked by `events.decode_event`, and may only have members
that belong there. So the whole line is a valid record, with no member twice, exactly if its parts are. A line with any
other part has no parts here: `BatchTotals.count` parses it whole, which is what defines its meaning.
"""

from __future__ import annotations

import re
from functools import lru_cache
from operator import itemgetter
from typing import Any, NamedTuple, cast

import orjson

from onebyone.contracts.events import AS_OF, CONSENT, NET, VERSION, Event, EventError, Kind, Terms, decode_event
from onebyone.contracts.pricing import booked_revenue, media_cost
from onebyone.counter.terms import check_terms, click_row, site_domain, user_id_of
from onebyone.runtime.bounded_memo import BoundedMemo

HEADS_KNOWN = 32_768
"""Heads that are remembered, in 40 megabytes: two for each tracker that is busy at the same time."""
HEAD_BYTES = 1024
"""A longer head is not remembered; the terms of a tracker leave it below half of that."""
TAILS_KNOWN = 8192
"""Tails that are remembered, in four megabytes: campaigns use far fewer costs."""
TAIL_BYTES = 256
"""A longer tail is parsed each time: it has a consent string, which few events share."""
_SITES_KNOWN = 8192
"""Sites of clicks whose host is remembered, in ten megabytes at most."""

KEY = ("member_id", "kind", "tracker_id", *(name for name in AS_OF if name != "member_id"))
"""The fields by which events are summed, besides the hour and the reason."""
key_of = itemgetter(*KEY)

_HEAD_NAMES = frozenset(("kind", "tracker_id", *AS_OF, "terms", "act", "view", "test", "bucket"))
_TAIL_NAMES = frozenset((*CONSENT, "gpc", "user_id", "ancost", "flags", "reason"))
_TAIL_NAMES_USED = frozenset(("user_id", "ancost", "reason"))
_ANY_HEAD = orjson.dumps({"kind": "imp", "tracker_id": 0, **dict.fromkeys(AS_OF, 0)})[1:-1]
_RECORD = b'{"v":%d,"id":0,"ts":0,%%b}' % VERSION

_NAMES = (b',"ip":"', b',"ua":"', b',"ref":"', b',"cb":"')
_TEXT = rb'(?:%b([ !#-\[\]-~\x80-\xff]*)")?'
_AFTER_HEAD = re.compile(b"".join(_TEXT % name for name in _NAMES) + rb'(?:,"(.+))?')


class Fragment(NamedTuple):
    """What the events with one head have in common."""

    key: tuple[Any, ...]
    """The values of `KEY`."""
    kind: Kind
    terms: Terms | None
    click: dict[str, Any] | None
    """The row of a click without page, cost and user; None for an impression."""


class Tail:
    """What a tail says that is counted, and the class of its events. Compared by identity: sums are kept by it."""

    __slots__ = ("ancost", "reason", "traffic", "user_id")

    def __init__(self, ancost: int | None = None, reason: str = NET, user_id: int = 0, traffic: str = NET) -> None:
        self.ancost = ancost
        self.reason = reason
        self.user_id = user_id
        self.traffic = traffic


NO_TAIL = Tail()


class EventParts:
    """The heads and tails that one process has seen."""

    def __init__(self, heads: int = HEADS_KNOWN, tails: int = TAILS_KNOWN) -> None:
        self._heads: BoundedMemo[bytes, Fragment | None] = BoundedMemo(heads)
        self.tails: BoundedMemo[bytes, Tail | None] = BoundedMemo(tails)

    def fragment(self, head: bytes) -> Fragment | None:
        """Return what a head says, from memory if it can be; None if it is none."""
        try:
            return self._heads[head]
        except KeyError:
            fragment = parse_head(head)
            if len(head) <= HEAD_BYTES:
                self._heads.remember(head, fragment)
            return fragment

    def tail(self, text: bytes) -> Tail | None:
        """Return what a tail says, without the comma and the quote that precede it; None if it is none."""
        try:
            return self.tails[text]
        except KeyError:
            tail = parse_tail(text)
            if len(text) <= TAIL_BYTES:
                self.tails.remember(text, tail)
            return tail


def split_line(line: bytes) -> tuple[bytes, bytes, bytes, bytes, bytes | None] | None:
    """Return head, network, agent, page and tail of a line, in which any of the texts may be missing.

    None if it has no parts. An absent text is empty, an absent tail None.
    """
    start = next((at for name in _NAMES if (at := line.find(name)) >= 0), -1)
    match = _AFTER_HEAD.fullmatch(line, start) if start >= 0 else None
    if match is None:
        return None
    if not line.isascii():
        try:
            line.decode()
        except UnicodeDecodeError:
            return None
    return line[:start], match[1] or b"", match[2] or b"", match[3] or b"", match[5]


def parse_head(head: bytes) -> Fragment | None:
    """Return what a head says; None if it is none."""
    if _members(head, _HEAD_NAMES) is None:
        return None
    try:
        event = decode_event(_RECORD % head)
        terms = event.get("terms")
        if terms is not None:
            check_terms(event)
        click = click_row(event) if event["kind"] == "clk" else None
    except EventError:
        return None
    return Fragment(key_of(event), event["kind"], terms, click)


def parse_tail(text: bytes) -> Tail | None:
    """Return what a tail says; None if it is none."""
    text = b'"' + text
    members = _members(text, _TAIL_NAMES)
    if members is None:
        return None
    if members.keys().isdisjoint(_TAIL_NAMES_USED):
        return NO_TAIL
    try:
        event = decode_event(_RECORD % b"%b,%b" % (_ANY_HEAD, text))
        return Tail(event.get("ancost"), event.get("reason") or NET, user_id_of(event))
    except EventError:
        return None


def price(fragment: Fragment, tail: Tail) -> tuple[int, int]:
    """Return the nanos that each event of this head and tail costs and earns."""
    if tail.reason != NET:
        return 0, 0
    facts: dict[str, Any] = {"kind": fragment.kind, "ancost": tail.ancost}
    if fragment.terms is not None:
        facts["terms"] = fragment.terms
    event = cast(Event, facts)
    return media_cost(event), booked_revenue(event)


def page_domain(page: bytes) -> str:
    """Return `site_domain` of the page of a click."""
    # What follows the third slash decides nothing about the host, and is new in most events.
    parts = page.split(b"/", 3)
    if len(parts) == 4 and parts[2] and not parts[1]:
        return _site_domain(b"%b//%b/" % (parts[0], parts[2]))
    return _site_domain(page)


@lru_cache(maxsize=_SITES_KNOWN)
def _site_domain(page: bytes) -> str:
    return site_domain(page.decode())


def _members(text: bytes, names: frozenset[str]) -> dict[str, Any] | None:
    """Return the members of an object without its braces; None if it is none, or has other names."""
    try:
        members: dict[str, Any] = orjson.loads(b"{%b}" % text)
    except orjson.JSONDecodeError:
        return None
    return members if members.keys() <= names else None
