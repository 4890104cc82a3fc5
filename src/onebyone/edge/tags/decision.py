"""The hot path's decision: what one request to `/imptr`, `/clktr` or `/clktrb` gets, from the tag to the event.

Read `Decisions.decide` from top to bottom: each line is a row of the edge contract. It never waits: both ways into the
edge (`app.py` over ASGI, `turns.py` without, which remembers what was decided of a tag) call it, and when it needs a
record that is not in memory it raises `Cold`, which only the ASGI way can wait for.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, TypeVar

import structlog

from onebyone.contracts.events import Kind
from onebyone.contracts.money import ANCOST_MAX_MICROS, parse_ancost
from onebyone.edge import metrics
from onebyone.edge.configuration.cache import ConfigCache, RecordCache, Tracker
from onebyone.edge.tags import client, redirects, responses
from onebyone.edge.tags.client import Visitor
from onebyone.edge.tags.query import Tag
from onebyone.edge.tags.reasons import Reason
from onebyone.edge.tags.responses import Answer

Record = TypeVar("Record")
Found = dict[tuple[RecordCache[Any], int], Any]
"""Records that were waited for, by where and under which id; None: there is none."""
Event = bytes
"""One event's line within its group (`batches.py`): the tracker's fragment (`event_ids.tracker_fragment`), then the
facts of the request as JSON members, each preceded by a comma."""

PATHS: dict[str, Kind] = {"/imptr": "imp", "/clktr": "clk", "/clktrb": "clk"}

HEADERS = frozenset((b"referer", b"x-forwarded-for", *client.HEADERS))
"""The request headers that an answer or an event may depend on; neither sees another."""

_NOTHING: Found = {}
_log = structlog.get_logger()


class Cold(Exception):
    """A record must be asked for before the decision can be made."""

    def __init__(self, lookup: RecordCache[Any], record_id: int) -> None:
        super().__init__(record_id)
        self.lookup = lookup
        self.record_id = record_id


class Decision:
    """What to answer, and as what it counts. Compared by identity: the usual ones are made once and rendered once."""

    __slots__ = ("answer", "kind", "lost", "reason")

    def __init__(self, kind: Kind, answer: Answer, reason: Reason | None, lost: Answer | None = None) -> None:
        self.kind = kind
        self.answer = answer
        self.reason = reason
        """Why nothing is counted; None: the event is recorded once its line is on disk."""
        self.lost = lost or answer
        """The answer if the line could not be written: an impression says so by its status, a person who clicked
        lands."""

    def unless(self, reason: Reason) -> Decision:
        """The decision after all, when the line could not be written."""
        return Decision(self.kind, self.lost, reason)


_GIF = Decision("imp", responses.GIF, None, responses.GIF_UNAVAILABLE)
_SCRIPT = Decision("imp", responses.SCRIPT, None, responses.SCRIPT_UNAVAILABLE)
_NO_DESTINATION = Decision("clk", responses.NO_DESTINATION, None)


class Decisions:
    """Makes the decisions of one process."""

    def __init__(self, lookups: ConfigCache) -> None:
        self.lookups = lookups
        self._any_seen: set[tuple[int, str | None]] = set()

    def decide(
        self,
        kind: Kind,
        tag: Tag,
        sender: Visitor,
        referrer: bytes,
        network: bytes,
        method: str = "GET",
        found: Found = _NOTHING,
    ) -> tuple[Decision, Event | None]:
        """The decision by what is in memory and what was `found`, and the event that must be on disk before it holds.
        `referrer` and `network` are JSON members of its line. Raises `Cold`."""
        if method != "GET" and method != "HEAD":
            return Decision(kind, responses.METHOD, Reason.METHOD), None
        number, script, cachebuster, ancost, signals, redir, macro_left = tag
        pixel = _SCRIPT if (sender.script if script is None else script) else _GIF
        if number is None:
            return Decision(kind, pixel.answer if kind == "imp" else responses.NOT_FOUND, Reason.BAD_ID), None
        lookup = self.trackers(kind)
        tracker = lookup.get(number)
        if tracker is None and (tracker := _waited(lookup, number, found)) is None:
            return Decision(kind, pixel.answer if kind == "imp" else responses.NOT_FOUND, Reason.UNKNOWN_ID), None
        refused = False
        decision = pixel
        if redir is not None:
            location = redirects.to_location(redir)
            if location is not None and self._approved(location, tracker, found):
                decision = Decision(kind, responses.redirect(location), None)
            else:
                metrics.REDIRECTS_REFUSED.inc()
                refused = True
                if kind == "clk":
                    decision = _landing(tracker, location)
        elif kind == "clk":
            decision = _landing(tracker, None)
        if not tracker.active:
            return Decision(kind, decision.answer, Reason.INACTIVE), None
        if method == "HEAD":
            return Decision(kind, decision.answer, Reason.HEAD), None
        if sender.prefetch:
            return Decision(kind, decision.answer, Reason.PREFETCH), None
        facts = network + sender.agent + referrer + cachebuster
        if signals or sender.gpc:
            facts += client.privacy(signals, sender.gpc)
        if ancost is not None or macro_left or refused:
            facts += _oddities(ancost, macro_left, refused)
        return decision, tracker.fragment + facts

    def trackers(self, kind: Kind) -> RecordCache[Tracker]:
        """Where the trackers of that kind are."""
        return self.lookups.impressions if kind == "imp" else self.lookups.clicks

    def without_configuration(self, kind: Kind, tag: Tag, sender: Visitor) -> Decision:
        """The decision when the cache server cannot be asked for what `decide` needs."""
        if kind == "imp":
            pixel = _SCRIPT if (sender.script if tag.script is None else tag.script) else _GIF
            return pixel.unless(Reason.CONFIG)
        location = redirects.to_location(tag.redir) if tag.redir is not None else None
        answer = responses.TRY_AGAIN if location is None else responses.notice(location, status=503)
        return Decision(kind, answer, Reason.CONFIG)

    def _approved(self, location: bytes, tracker: Tracker, found: Found) -> bool:
        number = tracker.member_id
        member = self.lookups.members.get(number) or _waited(self.lookups.members, number, found)
        if member is None or not redirects.approved(location, member):
            return False
        if member.redirect_policy == "any":
            self._watch_any(number, redirects.host_of(location))
        return True

    def _watch_any(self, member_id: int, host: str | None) -> None:
        # The original's open redirect, by the member's own choice: counted always, logged once a host.
        metrics.REDIRECTS_ANY.inc()
        if (member_id, host) not in self._any_seen and len(self._any_seen) < 1000:
            self._any_seen.add((member_id, host))
            _log.warning("redirect by policy any", member_id=member_id, host=host)


def _waited(lookup: RecordCache[Record], record_id: int, found: Found) -> Record | None:
    try:
        waited: Record | None = found[lookup, record_id]
    except KeyError:
        raise Cold(lookup, record_id) from None
    return waited


def _landing(tracker: Tracker, refused: bytes | None) -> Decision:
    """Where a click leads without an approved `redir`: the tracker's page, else a notice of the refused target, else a
    page that says that there is none."""
    if tracker.click_url is not None:
        return _to_page(tracker.click_url)
    return _NO_DESTINATION if refused is None else Decision("clk", responses.notice(refused), None)


@lru_cache(maxsize=4096)
def _to_page(url: str) -> Decision:
    return Decision("clk", responses.redirect(url.encode()), None)


def _oddities(ancost: bytes | None, macro_left: bool, refused: bool) -> bytes:
    """The part of an event line with the cost given in the tag, and with the flags."""
    found = b""
    flags = ['"macro_unreplaced"'] if macro_left else []
    if ancost is not None:
        found = cost(ancost[:_ANCOST_LENGTH])
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
def cost(text: bytes) -> bytes:
    """`ancost` as a JSON member of an event line with a comma in front; nothing when it is not valid."""
    micros = parse_ancost(text)
    return b"" if micros is None or micros > ANCOST_MAX_MICROS else b',"ancost":%d' % micros
