"""The hot path: one request to `/imptr`, `/clktr` or `/clktrb`, from query string to answer.

Read `Edge._decide` from top to bottom: each line is a row of the edge contract.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Literal

import structlog

from onebyone.clock import now_ms
from onebyone.edge import answers, metrics, minting, query, targets, visitor
from onebyone.edge.answers import Answer
from onebyone.edge.commits import Commits
from onebyone.edge.lookup import ConfigurationUnavailable, Lookups, Tracker
from onebyone.edge.reasons import Reason
from onebyone.money import ANCOST_MAX_MICROS, parse_ancost
from onebyone.settings import Settings

Kind = Literal["imp", "clk"]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

PATHS: dict[str, Kind] = {"/imptr": "imp", "/clktr": "clk", "/clktrb": "clk"}

_log = structlog.get_logger()


class Edge:
    """The ASGI application; everything that is not a tag goes to `operator`."""

    def __init__(self, settings: Settings, lookups: Lookups, commits: Commits, operator: App) -> None:
        self._lookups = lookups
        self._commits = commits
        self._operator = operator
        self._proxies = settings.proxy_networks
        self._wait_for_disk = settings.receipt == "disk"
        self._mint = minting.Mint()
        self._ignored = {
            (kind, reason): metrics.IGNORED.labels(kind, reason) for kind in ("imp", "clk") for reason in Reason
        }
        self._any_seen: set[tuple[int, str | None]] = set()
        self.draining = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = PATHS.get(scope["path"])
        if kind is None:
            await self._operator(scope, receive, send)
            return
        answer, reason = await self._decide(kind, scope)
        if reason is None:
            headers = [*answer.headers, answers.RECORDED]
        else:
            self._ignored[kind, reason].inc()
            headers = [*answer.headers, answers.IGNORED[reason]]
        if self.draining:
            headers.append(answers.CLOSE)
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else answer.body})

    async def _decide(self, kind: Kind, scope: Scope) -> tuple[Answer, Reason | None]:
        """The answer, and why its event is not counted; None: it is on disk."""
        method: str = scope["method"]
        if method not in ("GET", "HEAD"):
            return answers.METHOD, Reason.METHOD
        asked = query.parse(scope["query_string"])
        headers = dict(scope["headers"])
        pixel = answers.SCRIPT if _wants_script(asked, headers) else answers.GIF
        number = query.tracker_id(asked)
        if number is None:
            return (pixel if kind == "imp" else answers.NOT_FOUND), Reason.BAD_ID
        lookup = self._lookups.impressions if kind == "imp" else self._lookups.clicks
        try:
            tracker = lookup.get(number) or await lookup.find(number)
            if tracker is None:
                return (pixel if kind == "imp" else answers.NOT_FOUND), Reason.UNKNOWN_ID
            answer, refused = await self._target(kind, pixel, asked, tracker)
        except ConfigurationUnavailable:
            return _without_configuration(kind, pixel, asked), Reason.CONFIG
        if not tracker.record.active:
            return answer, Reason.INACTIVE
        if method == "HEAD":
            return answer, Reason.HEAD
        if visitor.is_prefetch(headers):
            return answer, Reason.PREFETCH
        recorded = self._commits.submit(self._line(scope, asked, headers, tracker, refused))
        if recorded is None:
            return _not_recorded(kind, answer, pixel), Reason.OVERLOAD
        if self._wait_for_disk and not await recorded:
            return _not_recorded(kind, answer, pixel), Reason.JOURNAL
        return answer, None

    async def _target(self, kind: Kind, pixel: Answer, asked: query.Query, tracker: Tracker) -> tuple[Answer, bool]:
        """The answer of a known tracker, and whether a `redir` was refused: `redir`, else `click_url`, else a page."""
        location: bytes | None = None
        if asked.redir is not None:
            location = targets.to_location(asked.redir)
            if location is not None and await self._approved(location, tracker):
                return answers.redirect(location), False
            metrics.REDIRECTS_REFUSED.inc()
        refused = asked.redir is not None
        if kind == "imp":
            return pixel, refused
        if tracker.record.click_url is not None:
            return answers.redirect(tracker.record.click_url.encode()), refused
        return (answers.NO_DESTINATION if location is None else answers.notice(location)), refused

    async def _approved(self, location: bytes, tracker: Tracker) -> bool:
        number = tracker.record.member_id
        members = self._lookups.members
        member = members.get(number) or await members.find(number)
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

    def _line(
        self, scope: Scope, asked: query.Query, headers: dict[bytes, bytes], tracker: Tracker, refused: bool
    ) -> bytes:
        peer = scope["client"][0] if scope["client"] else ""
        address = visitor.client_address(peer, scope["headers"], self._proxies)
        facts = visitor.facts(asked.values, headers, address)
        flags = ["macro_unreplaced"] if asked.macro_left else []
        cost = asked.values.get(b"ancost")
        if cost is not None:
            micros = parse_ancost(cost)
            if micros is None or micros > ANCOST_MAX_MICROS:
                flags.append("ancost_invalid")
            else:
                facts["ancost"] = micros
        if refused:
            flags.append("redirect_refused")
        if flags:
            facts["flags"] = flags
        return minting.line(self._mint.event_id(), now_ms(), tracker.fragment, facts)


def _wants_script(asked: query.Query, headers: dict[bytes, bytes]) -> bool:
    kind = asked.values.get(b"t")
    return kind == b"1" or (kind is None and headers.get(b"sec-fetch-dest") == b"script")


def _not_recorded(kind: Kind, answer: Answer, pixel: Answer) -> Answer:
    """An impression says so by its status; a person who clicked lands all the same."""
    return answers.unavailable(pixel) if kind == "imp" else answer


def _without_configuration(kind: Kind, pixel: Answer, asked: query.Query) -> Answer:
    if kind == "imp":
        return answers.unavailable(pixel)
    location = targets.to_location(asked.redir) if asked.redir is not None else None
    return answers.TRY_AGAIN if location is None else answers.notice(location, status=503)
