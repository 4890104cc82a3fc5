"""The hot path's decision: what one request to `/imptr`, `/clktr` or `/clktrb` gets, from the tag to the event.

Read `Decisions.decide` from top to bottom: each line is a row of the edge contract. It never waits: both ways into the
edge (`app.py` over ASGI, `turns.py` without, which remembers what was decided of a tag) call it, and when it needs a
record that is not in memory it raises `CacheMiss`, which only the ASGI way can wait for.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, TypeVar

import structlog

from onebyone.contracts.events import Kind
from onebyone.contracts.money import ANCOST_MAX_MICROS, parse_ancost
from onebyone.edge import metrics
from onebyone.edge.configuration.cache import ConfigCache, Tracker
from onebyone.edge.configuration.record_cache import RecordCache
from onebyone.edge.tags import client, redirects, responses
from onebyone.edge.tags.client import Client
from onebyone.edge.tags.query import Tag
from onebyone.edge.tags.reasons import Reason
from onebyone.edge.tags.responses import Response

Record = TypeVar("Record")
FetchedRecords = dict[tuple[RecordCache[Any], int], Any]
"""Records that were waited for, by where and under which id; None: there is none."""
EventLine = bytes
"""One event's line within its group (`batches.py`): the tracker's fragment (`event_ids.tracker_fragment`), then the
facts of the request as JSON members, each preceded by a comma."""

PATHS: dict[str, Kind] = {"/imptr": "imp", "/clktr": "clk", "/clktrb": "clk"}

HEADERS = frozenset((b"referer", b"x-forwarded-for", *client.HEADERS))
"""The request headers that an answer or an event may depend on; neither sees another."""

NOTHING_FETCHED: FetchedRecords = {}
_log = structlog.get_logger()


class CacheMiss(Exception):
    """A record must be asked for before the decision can be made."""

    def __init__(self, records: RecordCache[Any], record_id: int) -> None:
        super().__init__(record_id)
        self.records = records
        self.record_id = record_id


class Decision:
    """What to answer, and as what it counts. Compared by identity: the usual ones are made once and rendered once."""

    __slots__ = ("kind", "on_loss", "reason", "response")

    def __init__(self, kind: Kind, response: Response, reason: Reason | None, on_loss: Response | None = None) -> None:
        self.kind = kind
        self.response = response
        self.reason = reason
        """Why nothing is counted; None: the event is recorded once its line is on disk."""
        self.on_loss = on_loss or response
        """The answer if the line could not be written: an impression says so by its status, a person who clicked
        lands."""

    def unrecorded(self, reason: Reason) -> Decision:
        """The decision after all, when the line could not be written."""
        return Decision(self.kind, self.on_loss, reason)


_GIF = Decision("imp", responses.GIF, None, responses.GIF_UNAVAILABLE)
_SCRIPT = Decision("imp", responses.SCRIPT, None, responses.SCRIPT_UNAVAILABLE)
_NO_DESTINATION = Decision("clk", responses.NO_DESTINATION, None)


class Decisions:
    """Makes the decisions of one process."""

    def __init__(self, cache: ConfigCache) -> None:
        self.cache = cache
        self._any_seen: set[tuple[int, str | None]] = set()

    def decide(
        self,
        kind: Kind,
        tag: Tag,
        sender: Client,
        referrer: bytes,
        network: bytes,
        method: str = "GET",
        fetched: FetchedRecords = NOTHING_FETCHED,
    ) -> tuple[Decision, EventLine | None]:
        """The decision by what is in memory and what was `fetched`, and the event that must be on disk before it holds.
        `referrer` and `network` are JSON members of its line. Raises `CacheMiss`."""
        if method != "GET" and method != "HEAD":
            return Decision(kind, responses.METHOD, Reason.METHOD), None
        tracker_id, script, cachebuster, ancost, signals, redir, macro_left = tag
        pixel = _SCRIPT if (sender.script if script is None else script) else _GIF
        if tracker_id is None:
            return Decision(kind, pixel.response if kind == "imp" else responses.NOT_FOUND, Reason.BAD_ID), None
        records = self.trackers(kind)
        tracker = records.get(tracker_id)
        if tracker is None and (tracker := _fetched_record(records, tracker_id, fetched)) is None:
            return Decision(kind, pixel.response if kind == "imp" else responses.NOT_FOUND, Reason.UNKNOWN_ID), None
        refused = False
        decision = pixel
        if redir is not None:
            location = redirects.to_location(redir)
            if location is not None and self._approved(location, tracker, fetched):
                decision = Decision(kind, responses.redirect(location), None)
            else:
                metrics.REDIRECTS_REFUSED.inc()
                refused = True
                if kind == "clk":
                    decision = _landing_decision(tracker, location)
        elif kind == "clk":
            decision = _landing_decision(tracker, None)
        if not tracker.active:
            return Decision(kind, decision.response, Reason.INACTIVE), None
        if method == "HEAD":
            return Decision(kind, decision.response, Reason.HEAD), None
        if sender.prefetch:
            return Decision(kind, decision.response, Reason.PREFETCH), None
        facts = network + sender.agent + referrer + cachebuster
        if signals or sender.gpc:
            facts += client.privacy_members(signals, sender.gpc)
        if ancost is not None or macro_left or refused:
            facts += _cost_and_flags(ancost, macro_left, refused)
        return decision, tracker.fragment + facts

    def trackers(self, kind: Kind) -> RecordCache[Tracker]:
        """Where the trackers of that kind are."""
        return self.cache.impressions if kind == "imp" else self.cache.clicks

    def without_configuration(self, kind: Kind, tag: Tag, sender: Client) -> Decision:
        """The decision when the cache server cannot be asked for what `decide` needs."""
        if kind == "imp":
            pixel = _SCRIPT if (sender.script if tag.script is None else tag.script) else _GIF
            return pixel.unrecorded(Reason.CONFIG)
        location = redirects.to_location(tag.redir) if tag.redir is not None else None
        response = responses.TRY_AGAIN if location is None else responses.redirect_notice(location, status=503)
        return Decision(kind, response, Reason.CONFIG)

    def _approved(self, location: bytes, tracker: Tracker, fetched: FetchedRecords) -> bool:
        number = tracker.member_id
        member = self.cache.members.get(number) or _fetched_record(self.cache.members, number, fetched)
        if member is None or not redirects.is_approved(location, member):
            return False
        if member.redirect_policy == "any":
            self._watch_any(number, redirects.browser_host(location))
        return True

    def _watch_any(self, member_id: int, host: str | None) -> None:
        # The original's open redirect, by the member's own choice: counted always, logged once a host.
        metrics.REDIRECTS_ANY.inc()
        if (member_id, host) not in self._any_seen and len(self._any_seen) < 1000:
            self._any_seen.add((member_id, host))
            _log.warning("redirect by policy any", member_id=member_id, host=host)


def _fetched_record(records: RecordCache[Record], record_id: int, fetched: FetchedRecords) -> Record | None:
    try:
        waited: Record | None = fetched[records, record_id]
    except KeyError:
        raise CacheMiss(records, record_id) from None
    return waited


def _landing_decision(tracker: Tracker, refused: bytes | None) -> Decision:
    """Where a click leads without an approved `redir`: the tracker's page, else a notice of the refused target, else a
    page that says that there is none."""
    if tracker.click_url is not None:
        return _redirect_to(tracker.click_url)
    return _NO_DESTINATION if refused is None else Decision("clk", responses.redirect_notice(refused), None)


@lru_cache(maxsize=4096)
def _redirect_to(url: str) -> Decision:
    return Decision("clk", responses.redirect(url.encode()), None)


def _cost_and_flags(ancost: bytes | None, macro_left: bool, refused: bool) -> bytes:
    """The part of an event line with the cost given in the tag, and with the flags."""
    members = b""
    flags = ['"macro_unreplaced"'] if macro_left else []
    if ancost is not None:
        members = ancost_member(ancost[:_ANCOST_LENGTH])
        if not members:
            flags.append('"ancost_invalid"')
    if refused:
        flags.append('"redirect_refused"')
    if flags:
        members += b',"flags":[%b]' % ",".join(flags).encode()
    return members


_ANCOST_LENGTH = 14
"""One more than the longest that is valid, so that what is too long stays so when it is cut."""


@lru_cache(maxsize=4096)
def ancost_member(text: bytes) -> bytes:
    """`ancost` as a JSON member of an event line with a comma in front; nothing when it is not valid."""
    micros = parse_ancost(text)
    return b"" if micros is None or micros > ANCOST_MAX_MICROS else b',"ancost":%d' % micros
