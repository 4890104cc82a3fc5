"""Deciding one request to `/imptr`, `/clktr` or `/clktrb`: its response, and the event to record. The hot path.

Read `Decisions.decide` from top to bottom: each line is one row of the edge contract. It never blocks. The ASGI path
(`asgi.py`) and the fast path (`fastpath/batcher.py`, which remembers decisions by tag) both call it. If it needs a
record that is not in memory, it raises `CacheMiss`; only the ASGI path can then wait for the record.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, TypeVar

import structlog

from onebyone.clock import now_ms
from onebyone.contracts import locations, signed_links
from onebyone.contracts.events import Kind
from onebyone.contracts.money import ANCOST_MAX_MICROS, parse_ancost
from onebyone.contracts.signed_links import Signature
from onebyone.edge import metrics
from onebyone.edge.configuration.cache import ConfigCache, Tracker
from onebyone.edge.configuration.record_cache import RecordCache
from onebyone.edge.tags import client, redirects, responses
from onebyone.edge.tags.client import Client, Purpose
from onebyone.edge.tags.flags import Flag
from onebyone.edge.tags.query import Tag
from onebyone.edge.tags.reasons import Reason
from onebyone.edge.tags.responses import Response

Record = TypeVar("Record")
FetchedRecords = dict[tuple[RecordCache[Any], int], Any]
"""Records that the caller has fetched after a `CacheMiss`, by cache and id; None: the record does not exist."""
EventLine = bytes
"""One event's line within its group (`contracts/batches.py`): the fragment of its tracker (`tracker_fragment` in
`journal/event_ids.py`), then the facts of the request as JSON members, each preceded by a comma."""

HEADERS = frozenset((b"referer", *client.HEADERS))
"""The headers that a response or an event may depend on, beside those in which proxies name the client."""

NOTHING_FETCHED: FetchedRecords = {}

_IN_ADVANCE = {Purpose.PREFETCH: Reason.PREFETCH, Purpose.PRERENDER: Reason.PRERENDER}
"""The purposes for which nobody looks yet. For a preview somebody does, at a small picture: it is flagged."""

_ANY_HOSTS_MAX = 1000
"""Hosts that are logged for the policy `any`: the client chooses them, so their number must be limited."""
_ANCOST_LENGTH = 14
"""One more than the longest valid `ancost`, so that a value that is too long stays invalid after the cut."""
_CACHED_VALUES = 4096
"""Click URLs, and `ancost` values, whose result is remembered, in a few megabytes: campaigns use far fewer."""

_NO_FLAGS: tuple[Flag, ...] = ()
_SIGNATURE_FLAGS = {
    signed_links.Verdict.INVALID: Flag.SIGNATURE_INVALID,
    signed_links.Verdict.EXPIRED: Flag.SIGNATURE_EXPIRED,
    signed_links.Verdict.UNKNOWN_KEY: Flag.SIGNING_KEY_UNKNOWN,
}

_log = structlog.get_logger()


class CacheMiss(Exception):
    """The decision needs a record that is not in memory."""

    def __init__(self, records: RecordCache[Any], record_id: int) -> None:
        """Name the record that the caller fetches with `records.fetch` before it decides again."""
        super().__init__(record_id)
        self.records = records
        self.record_id = record_id


class Decision:
    """The response to a request, and whether its event counts.

    Compared by identity: each common decision is one object, whose response is rendered once.
    """

    __slots__ = ("kind", "on_loss", "reason", "response", "verdict")

    def __init__(
        self,
        kind: Kind,
        response: Response,
        reason: Reason | None,
        on_loss: Response | None = None,
        redirect_refused: bool = False,
    ) -> None:
        self.kind = kind
        self.response = response
        self.reason = reason
        """Why the request is not counted; None: it is recorded once its line is on disk."""
        self.on_loss = on_loss or response
        """The response if the line could not be written: 503 for an impression, while a click still lands."""
        self.verdict = responses.verdict_header(reason, redirect_refused)
        """The `X-OneByOne` header."""

    def unrecorded(self, reason: Reason) -> Decision:
        """Return the decision that replaces this one if its line could not be written."""
        return Decision(self.kind, self.on_loss, reason)


_ACTS = {False: b',"act":"image"', True: b',"act":"script"'}
"""How an impression was asked for, as a member of its event line, by whether it is answered with a script."""
_GIF = Decision("imp", responses.GIF, None, responses.GIF_UNAVAILABLE)
_SCRIPT = Decision("imp", responses.SCRIPT, None, responses.SCRIPT_UNAVAILABLE)
_PIXEL_INSTEAD = {
    False: Decision("imp", responses.GIF, None, responses.GIF_UNAVAILABLE, redirect_refused=True),
    True: Decision("imp", responses.SCRIPT, None, responses.SCRIPT_UNAVAILABLE, redirect_refused=True),
}
"""The pixel in place of a refused redirect, by whether it is a script."""
_NO_DESTINATION = Decision("clk", responses.NO_DESTINATION, None)
_NO_DESTINATION_INSTEAD = Decision("clk", responses.NO_DESTINATION, None, redirect_refused=True)
_TOO_EARLY = Decision("clk", responses.TOO_EARLY, None)


class Decisions:
    """Decide the tag requests of one process."""

    def __init__(self, cache: ConfigCache) -> None:
        self.cache = cache
        self._any_logged: set[tuple[int, str | None]] = set()

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
        """Return the decision, and the event line that must be on disk before it is sent, or None without a tracker.
        `referrer` and `network` are members of the line. Raise `CacheMiss` if a record is not cached or fetched."""
        if method != "GET" and method != "HEAD":
            return Decision(kind, responses.METHOD, Reason.METHOD), None
        tracker_id, script, cachebuster, ancost, signals, redir, flags, signature = tag
        if script is None:
            script = sender.script
        pixel = _SCRIPT if script else _GIF
        if tracker_id is None:
            return Decision(kind, pixel.response if kind == "imp" else responses.NOT_FOUND, Reason.BAD_ID), None
        records = self.trackers(kind)
        tracker = records.get(tracker_id)
        if tracker is None and (tracker := _fetched_record(records, tracker_id, fetched)) is None:
            return Decision(kind, pixel.response if kind == "imp" else responses.NOT_FOUND, Reason.UNKNOWN_ID), None
        purpose = None if kind == "imp" and sender.held_frame else sender.purpose
        refused = False
        decision = pixel
        if kind == "clk" and purpose in _IN_ADVANCE:
            decision = _TOO_EARLY
        elif redir is not None:
            location = locations.to_location(redir)
            approved = False
            if location is not None:
                approved, link_flags = self._approve(location, redir, signature, tracker_id, tracker, fetched)
                flags += link_flags
            if location is not None and approved:
                decision = Decision(kind, responses.redirect_response(location), None)
            else:
                metrics.REDIRECTS_REFUSED.inc()
                refused = True
                decision = _decision_instead(tracker, location) if kind == "clk" else _PIXEL_INSTEAD[script]
        elif kind == "clk":
            decision = _NO_DESTINATION if tracker.click_url is None else _redirect_to(tracker.click_url)
        if network == client.UNKNOWN_NETWORK:
            network, flags = b"", (Flag.ADDRESS_UNKNOWN, *flags)
        facts = network + sender.agent + referrer + cachebuster
        if signals or sender.gpc:
            facts += client.privacy_members(signals, sender.gpc)
        if ancost is not None or flags or refused or purpose is Purpose.PREVIEW:
            facts += _cost_and_flags(ancost, flags, refused, purpose is Purpose.PREVIEW)
        reason = _kept_reason(tracker, method, purpose)
        if reason is not None:
            decision = Decision(kind, decision.response, reason, decision.on_loss)
            facts += b',"reason":"%b"' % reason.encode()
        return decision, tracker.fragment + (_ACTS[script] if kind == "imp" else b"") + facts

    def trackers(self, kind: Kind) -> RecordCache[Tracker]:
        """Return the cache of the trackers of this kind."""
        return self.cache.impressions if kind == "imp" else self.cache.clicks

    def without_configuration(self, kind: Kind, tag: Tag, sender: Client) -> Decision:
        """Return the decision for a request whose tracker is unknown because the cache server is unreachable."""
        if kind == "imp":
            pixel = _SCRIPT if (sender.script if tag.script is None else tag.script) else _GIF
            return pixel.unrecorded(Reason.CONFIG)
        location = locations.to_location(tag.redir) if tag.redir is not None else None
        response = responses.TRY_AGAIN if location is None else responses.redirect_notice(location, status=503)
        return Decision(kind, response, Reason.CONFIG)

    def bad_path(self, kind: Kind, tag: Tag, sender: Client) -> Decision:
        """Return the decision for a request whose path is only similar to that of a tag."""
        pixel = _SCRIPT if (sender.script if tag.script is None else tag.script) else _GIF
        return Decision(kind, pixel.response if kind == "imp" else responses.NOT_FOUND, Reason.BAD_PATH)

    def bad_request(self, kind: Kind, tag: Tag, status: int) -> Decision:
        """Return the decision for a malformed request to a tag."""
        pixel = _SCRIPT if tag.script else _GIF
        response = pixel.response if kind == "imp" else responses.NOT_FOUND
        return Decision(kind, response._replace(status=status), Reason.BAD_REQUEST)

    def _approve(
        self,
        location: bytes,
        redir: bytes,
        signature: Signature | None,
        tracker_id: int,
        tracker: Tracker,
        fetched: FetchedRecords,
    ) -> tuple[bool, tuple[Flag, ...]]:
        """Return whether the redirect is approved, and what is wrong with its signature."""
        member_id, flags = tracker.member_id, _NO_FLAGS
        member = self.cache.members.get(member_id) or _fetched_record(self.cache.members, member_id, fetched)
        if member is None:
            return False, flags
        if signature is not None:
            verdict = signed_links.verify(signature, member.signing_keys, tracker_id, redir, now_ms() / 1000)
            if verdict is signed_links.Verdict.VALID:
                return True, flags
            flags = (_SIGNATURE_FLAGS[verdict],)
        if not redirects.is_approved(location, member):
            return False, flags
        if member.redirect_policy == "any":
            self._report_any(member_id, locations.browser_host(location))
        return True, flags

    def _report_any(self, member_id: int, host: str | None) -> None:
        # An open redirect, as the original has it, by the member's own choice: count each, log each host once.
        metrics.REDIRECTS_ANY.inc()
        if (member_id, host) not in self._any_logged and len(self._any_logged) < _ANY_HOSTS_MAX:
            self._any_logged.add((member_id, host))
            _log.warning("redirect by policy any", member_id=member_id, host=host)


def _fetched_record(records: RecordCache[Record], record_id: int, fetched: FetchedRecords) -> Record | None:
    try:
        record: Record | None = fetched[records, record_id]
    except KeyError:
        raise CacheMiss(records, record_id) from None
    return record


def _decision_instead(tracker: Tracker, refused: bytes | None) -> Decision:
    """Return the decision for a click whose `redir` is refused: redirect to the tracker's click URL; if it has none,
    show a notice with the `refused` target, or, if that may not be shown, a page without a destination."""
    if tracker.click_url is not None:
        return _redirect_to(tracker.click_url, redirect_refused=True)
    if refused is None:
        return _NO_DESTINATION_INSTEAD
    return Decision("clk", responses.redirect_notice(refused), None, redirect_refused=True)


@lru_cache(maxsize=_CACHED_VALUES)
def _redirect_to(url: str, redirect_refused: bool = False) -> Decision:
    return Decision("clk", responses.redirect_response(url.encode()), None, redirect_refused=redirect_refused)


def _kept_reason(tracker: Tracker, method: str, purpose: Purpose | None) -> Reason | None:
    """Return why the event of a known tracker is kept but not counted; None if it is counted."""
    if not tracker.active:
        return Reason.INACTIVE
    if method == "HEAD":
        return Reason.HEAD
    return None if purpose is None else _IN_ADVANCE.get(purpose)


def _cost_and_flags(ancost: bytes | None, tag_flags: tuple[Flag, ...], refused: bool, preview: bool) -> bytes:
    """Return the members of an event line for the cost given in the tag and for the flags."""
    members = b""
    flags = list(tag_flags)
    if ancost is not None:
        members = ancost_member(ancost[:_ANCOST_LENGTH])
        if not members:
            flags.append(Flag.ANCOST_INVALID)
    if preview:
        flags.append(Flag.PREVIEW)
    if refused:
        flags.append(Flag.REDIRECT_REFUSED)
    if flags:
        members += b',"flags":[%b]' % ",".join(f'"{flag}"' for flag in flags).encode()
    return members


@lru_cache(maxsize=_CACHED_VALUES)
def ancost_member(ancost: bytes) -> bytes:
    """Return `ancost` as a JSON member of an event line, preceded by a comma; empty if it is invalid."""
    micros = parse_ancost(ancost)
    return b"" if micros is None or micros > ANCOST_MAX_MICROS else b',"ancost":%d' % micros
