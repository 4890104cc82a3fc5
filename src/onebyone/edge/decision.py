"""The hot path's decision: what one request to `/imptr`, `/clktr` or `/clktrb` gets, from query string to event line.

Read `Decisions.decide` from top to bottom: each line is a row of the edge contract. It never waits: both ways into the
edge (`app.py` over ASGI, `fast_way.py` without) call it, and when it needs a record that is not in memory it raises
`Cold`, which only the ASGI way can wait for.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Literal, NamedTuple, TypeVar

import structlog

from onebyone.clock import now_ms
from onebyone.edge import answers, metrics, minting, query, targets, visitor
from onebyone.edge.answers import Answer
from onebyone.edge.lookup import Lookup, Lookups, Tracker
from onebyone.edge.reasons import Reason
from onebyone.money import ANCOST_MAX_MICROS, parse_ancost

Kind = Literal["imp", "clk"]
Record = TypeVar("Record")
Found = dict[tuple[Lookup[Any], int], Any]
"""Records that were waited for, by where and under which id; None: there is none."""

PATHS: dict[str, Kind] = {"/imptr": "imp", "/clktr": "clk", "/clktrb": "clk"}

HEADERS = frozenset((b"sec-fetch-dest", b"x-forwarded-for", *visitor.PURPOSES, *visitor.HEADERS))
"""The request headers that an answer or an event may depend on; a decision sees no other."""

_GIF = answers.GIF, answers.GIF_UNAVAILABLE
_SCRIPT = answers.SCRIPT, answers.SCRIPT_UNAVAILABLE
_NOTHING: Found = {}
_log = structlog.get_logger()


class Cold(Exception):
    """A record must be asked for before the decision can be made."""

    def __init__(self, lookup: Lookup[Any], record_id: int) -> None:
        super().__init__(record_id)
        self.lookup = lookup
        self.record_id = record_id


class Request(NamedTuple):
    """What a decision looks at."""

    kind: Kind
    method: str
    query: bytes
    headers: Mapping[bytes, bytes]
    """Those of `HEADERS`, by lower-case name; of a repeated header the last."""
    address: str
    """The client's, by `visitor.client_address`."""


class Decision(NamedTuple):
    """What to answer. With a `line`, only once that is on disk; else `reason` says why nothing is counted."""

    answer: Answer
    reason: Reason | None
    line: bytes | None = None
    lost: Answer | None = None
    """The answer if `line` could not be written: an impression says so by its status, a person who clicked lands."""


class Decisions:
    """Makes the decisions of one process."""

    def __init__(self, lookups: Lookups) -> None:
        self._lookups = lookups
        self._mint = minting.Mint()
        self._any_seen: set[tuple[int, str | None]] = set()

    def decide(self, request: Request, found: Found = _NOTHING) -> Decision:
        """The decision by what is in memory and what was `found`. Raises `Cold`."""
        kind, method, raw, headers, address = request
        if method != "GET" and method != "HEAD":
            return Decision(answers.METHOD, Reason.METHOD)
        asked = query.parse(raw)
        pixel, unavailable = _SCRIPT if _wants_script(asked, headers) else _GIF
        number = query.tracker_id(asked)
        if number is None:
            return Decision(pixel if kind == "imp" else answers.NOT_FOUND, Reason.BAD_ID)
        tracker = _record(self._lookups.impressions if kind == "imp" else self._lookups.clicks, number, found)
        if tracker is None:
            return Decision(pixel if kind == "imp" else answers.NOT_FOUND, Reason.UNKNOWN_ID)
        answer, refused = self._target(kind, pixel, asked, tracker, found)
        if not tracker.record.active:
            return Decision(answer, Reason.INACTIVE)
        if method == "HEAD":
            return Decision(answer, Reason.HEAD)
        if visitor.is_prefetch(headers):
            return Decision(answer, Reason.PREFETCH)
        facts = visitor.facts(asked.values, headers, address) + _oddities(asked, refused)
        line = minting.line(self._mint.event_id(), now_ms(), tracker.fragment, facts)
        return Decision(answer, None, line, unavailable if kind == "imp" else answer)

    def without_configuration(self, request: Request) -> Decision:
        """The decision when the cache server cannot be asked for what `decide` needs."""
        asked = query.parse(request.query)
        if request.kind == "imp":
            _, unavailable = _SCRIPT if _wants_script(asked, request.headers) else _GIF
            return Decision(unavailable, Reason.CONFIG)
        location = targets.to_location(asked.redir) if asked.redir is not None else None
        answer = answers.TRY_AGAIN if location is None else answers.notice(location, status=503)
        return Decision(answer, Reason.CONFIG)

    def _target(
        self, kind: Kind, pixel: Answer, asked: query.Query, tracker: Tracker, found: Found
    ) -> tuple[Answer, bool]:
        """The answer of a known tracker, and whether a `redir` was refused: `redir`, else `click_url`, else a page."""
        location: bytes | None = None
        refused = asked.redir is not None
        if asked.redir is not None:
            location = targets.to_location(asked.redir)
            if location is not None and self._approved(location, tracker, found):
                return answers.redirect(location), False
            metrics.REDIRECTS_REFUSED.inc()
        if kind == "imp":
            return pixel, refused
        if tracker.record.click_url is not None:
            return answers.redirect(tracker.record.click_url.encode()), refused
        return (answers.NO_DESTINATION if location is None else answers.notice(location)), refused

    def _approved(self, location: bytes, tracker: Tracker, found: Found) -> bool:
        number = tracker.record.member_id
        member = _record(self._lookups.members, number, found)
        if member is None or not targets.approved(location, member):
            return False
        if member.redirect_policy == "any":
            self._watch_any(number, targets.host_of(location))
        return True

    def _watch_any(self, member_id: int, host: str | None) -> None:
        # The original's open redirect, by the member's own choice: counted always, logged once a host.
        metrics.REDIRECTS_ANY.inc()
        if (member_id, host) not in self._any_seen and len(self._any_seen) < 1000:
            self._any_seen.add((member_id, host))
            _log.warning("redirect by policy any", member_id=member_id, host=host)


def _record(lookup: Lookup[Record], record_id: int, found: Found) -> Record | None:
    record = lookup.get(record_id)
    if record is not None:
        return record
    try:
        waited: Record | None = found[lookup, record_id]
    except KeyError:
        raise Cold(lookup, record_id) from None
    return waited


def _wants_script(asked: query.Query, headers: Mapping[bytes, bytes]) -> bool:
    kind = asked.values.get(b"t")
    return kind == b"1" or (kind is None and headers.get(b"sec-fetch-dest") == b"script")


def _oddities(asked: query.Query, refused: bool) -> bytes:
    """The part of an event line with the cost given in the tag, and with the flags."""
    found = b""
    if not (asked.macro_left or refused or b"ancost" in asked.values):
        return found
    flags = ['"macro_unreplaced"'] if asked.macro_left else []
    cost = asked.values.get(b"ancost")
    if cost is not None:
        found = _ancost(cost[:_ANCOST_LENGTH])
        if not found:
            flags.append('"ancost_invalid"')
    if refused:
        flags.append('"redirect_refused"')
    if flags:
        found += b',"flags":[%b]' % ",".join(flags).encode()
    return found


_ANCOST_LENGTH = 14
"""One more than the longest that is valid, so that what is too long stays so when it is cut."""


@lru_cache(maxsize=4096)
def _ancost(text: bytes) -> bytes:
    micros = parse_ancost(text)
    return b"" if micros is None or micros > ANCOST_MAX_MICROS else b',"ancost":%d' % micros
