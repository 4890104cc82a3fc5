"""Turns: the requests that have come since the last look are decided together, put on disk together, answered together.

The interpreter is quickest when it does the same for many, one after the other, and each look of the loop at its
connections has a price of its own. So a connection only leaves what it has read here. While requests come one behind
the other the loop rests for a moment before it takes them: many come to one look then, and to one sync of the disk.

Of nearly every request only the cachebuster and the page are new. The rest is looked up by its bytes: what was decided
of the tag before it, who sends these headers, what this `ancost` is. Whatever is not found there takes the long way,
`plain.read` and `Decisions.decide`, and is known from then on if it may be.

Read `Turns._decide` from top to bottom.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from typing import Protocol

import structlog
from uvicorn.server import ServerState

from onebyone.edge import decision, plain, visitor
from onebyone.edge.app import Edge
from onebyone.edge.commits import BATCH_EVENTS
from onebyone.edge.decision import Decision, Event
from onebyone.edge.lookup import Entry, Tracker
from onebyone.edge.plain import Memo, Plain
from onebyone.edge.query import CACHEBUSTER_MAX, NO_SIGNALS, Tag
from onebyone.edge.reasons import Reason
from onebyone.edge.visitor import REFERRER_MAX, Visitor

REST_SECONDS = 0.0003
"""How long the loop rests before a turn."""
REST_AFTER_SECONDS = 0.001
"""It only rests when the turn before was not longer ago, and not of a single client that asks again and again."""
ENOUGH = 100
"""With so many requests there is nothing to wait for."""
_LONGEST = 2048
"""Bytes of headers that are remembered."""
_LONGEST_HOPS = 256
"""Bytes of an `X-Forwarded-For` that is remembered."""
_TAG = re.compile(rb"GET (/[a-z]+)\?id=([1-9][0-9]{0,17})(?:&t=([0-9]))?")
_VERSION, _REFERRER, _FORWARDED = b" HTTP/1.1\r\n", b"\r\nReferer: ", b"\r\nX-Forwarded-For: "
_UNESCAPED = bytes(set(range(0x21, 0x7F)) - set(b'"\\'))
"""What a page may consist of to be a JSON string as it is; nearly all do."""

_Known = tuple[Entry[Tracker], Decision, Decision]
"""What a tag leads to: its tracker, while the entry is current, and the decision for an image and for a script."""
_Sender = tuple[bytes, bytes, bool, bool]
"""What headers say: the agent and the privacy signals (members of an event line), whether a script is wanted, whether
to close."""

_log = structlog.get_logger()


class Connection(Protocol):
    """What leaves requests here."""

    peer: str
    """Its address."""
    network: bytes
    """The same, truncated, as a member of an event line."""
    silent_until: float | None
    """When it is closed unless something comes, on the loop's clock; None: that is not for us to say."""
    write: Callable[[bytes], None]
    """Writes an answer and does what is to be done behind it."""

    def answer(self, decision: Decision) -> None:
        """Gives this answer."""

    def close_behind(self) -> None:
        """The next answer is the last."""

    def decline(self, data: bytes) -> None:
        """The request is not for us."""

    def close(self) -> None:
        """There will be no answer."""


class Turns:
    """The requests of one process that are not decided yet."""

    def __init__(self, edge: Edge, loop: asyncio.AbstractEventLoop, keep_alive: float, state: ServerState) -> None:
        """`keep_alive`: seconds that a connection may be silent behind an answer. `state` has uvicorn's headers."""
        self.arrived: list[tuple[Connection, bytes]] = []
        """Whoever adds the first calls `expect`."""
        self.edge = edge
        self.loop = loop
        self.keep_alive = keep_alive
        self.state = state
        self._lookups = edge.decisions.lookups
        self._doubts = 0
        self._tags: Memo[bytes, _Known] = Memo(edge.tracker_cache)
        self._senders: Memo[bytes, _Sender] = Memo()
        self._costs: Memo[bytes, bytes] = Memo()
        self._networks: Memo[tuple[str, bytes], bytes] = Memo(16_384)
        self._rest_until = 0.0
        self.new_connections = False
        """Whether requests have come on some since the last turn."""

    def expect(self) -> None:
        """The first request of a turn has come: the turn is taken once the loop has read what else there is."""
        if time.monotonic() >= self._rest_until:
            self.loop.call_soon(self._take)
        else:
            self.loop.call_soon(self._rest)

    def _rest(self) -> None:
        if len(self.arrived) < ENOUGH:
            time.sleep(REST_SECONDS)
        # Behind the next look at the connections.
        self.loop.call_soon(self._take)

    def _take(self) -> None:
        arrived = self.arrived[:]
        self.arrived.clear()
        among_others = len(arrived) > 1 or self.new_connections
        self.new_connections = False
        if self.edge.draining:
            for connection, data in arrived:
                connection.decline(data)
            return
        if self._doubts != self._lookups.doubts:
            self._doubts = self._lookups.doubts
            self._tags.clear()
        for start in range(0, len(arrived), BATCH_EVENTS):
            batch = arrived[start : start + BATCH_EVENTS]
            try:
                self._decide(batch)
            except Exception:
                # Whoever waits for an answer now would wait for ever.
                _log.exception("a turn could not be taken")
                for connection, _ in batch:
                    connection.close()
        self._rest_until = time.monotonic() + REST_AFTER_SECONDS if among_others else 0.0

    def _decide(self, arrived: list[tuple[Connection, bytes]]) -> None:
        tags, senders, costs, proxies = self._tags, self._senders, self._costs, self.edge.proxies
        answers: list[tuple[Connection, Decision]] = []
        lines: list[Event] = []
        for connection, data in arrived:
            try:
                rest, network = data, connection.network
                if proxies:
                    hops, rest = _without(_FORWARDED, data)
                    if hops is not None:
                        network = self._networks[connection.peer, hops]
                start = rest.find(_VERSION)
                head, _, values = rest[:start].partition(b"&cachebuster=")
                cachebuster, _, ancost = values.partition(b"&ancost=")
                entry, image, other = tags[head]
                cost = costs[ancost]
                # What `_without` does, without the call: this is nearly each request, and calls have a budget.
                at = rest.rfind(_REFERRER, start)
                if at < 0:
                    agent, privacy, script, close = senders[rest[start:]]
                    referrer = b""
                else:
                    end = rest.index(b"\r\n", at + 11)
                    agent, privacy, script, close = senders[rest[start:at] + rest[end:]]
                    page = rest[at + 11 : end]
                    if not page or page.translate(None, _UNESCAPED) or len(page) > REFERRER_MAX:
                        raise KeyError(page)
                    referrer = b',"ref":"%b"' % page
                if entry.generation < 0 or not cachebuster.isalnum() or len(cachebuster) > CACHEBUSTER_MAX:
                    raise KeyError(head)
            except (KeyError, ValueError):
                if (found := self._the_long_way(connection, data)) is not None:
                    answers.append((connection, found[0]))
                    lines.append(found[1])
                continue
            if close:
                connection.close_behind()
            answers.append((connection, other if script else image))
            # The members and their order are those of `Decisions.decide`.
            parts = (entry.record.fragment, network, agent, referrer, b',"cb":"', cachebuster, b'"', privacy, cost)
            lines.append(b"".join(parts))
        if answers:
            self._record([self.edge.mint.head(len(lines)), *lines], answers)

    def _the_long_way(self, connection: Connection, data: bytes) -> tuple[Decision, Event] | None:
        """The decision of any plain request and its event; None: it has its answer, or was declined."""
        edge = self.edge
        try:
            request = plain.read(data)
            if request is None:
                connection.decline(data)
                return None
            kind, tag, sender, referrer, forwarded, close = request
            network = connection.network
            if edge.proxies and forwarded is not None:
                hops = [(b"x-forwarded-for", forwarded)]
                network = visitor.network(visitor.client_address(connection.peer, hops, edge.proxies))
                if len(forwarded) <= _LONGEST_HOPS:
                    self._networks.keep((connection.peer, forwarded), network)
            made, event = edge.decisions.decide(kind, tag, sender, referrer, network)
            if event is not None:
                self._learn(data, request)
        except Exception:
            # `Cold`; or a fault, which the ASGI way will meet again, log, and answer with a 500.
            connection.decline(data)
            return None
        if close:
            connection.close_behind()
        if event is None:
            connection.answer(made)
            return None
        return made, event

    def _learn(self, data: bytes, request: Plain) -> None:
        """Remembers the parts of a request that was recorded, each if nothing is odd about it."""
        kind, tag, sender, referrer, forwarded, close = request
        page, rest = _without(_REFERRER, data)
        hops = None
        if self.edge.proxies:
            hops, rest = _without(_FORWARDED, rest)
        start = rest.index(_VERSION)
        headers = rest[start:]
        head, _, values = rest[:start].partition(b"&cachebuster=")
        ancost = values.partition(b"&ancost=")[2]
        if ancost not in self._costs and (tag.ancost or b"") == ancost:
            cost = decision.cost(ancost)
            if cost or not ancost:
                self._costs.keep(ancost, cost)
        # A header whose name is written otherwise was not cut out; such lines are new with each page or client.
        cut = (page is None) == (not referrer) and hops == forwarded
        if cut and not sender.prefetch and len(headers) <= _LONGEST and headers not in self._senders:
            privacy = visitor.privacy(NO_SIGNALS, sender.gpc)
            self._senders.keep(headers, (sender.agent, privacy, sender.script, close))
        known = self._tags.get(head)
        if known is not None and known[0].generation >= 0:
            return
        match = _TAG.fullmatch(head)
        if match is None:
            return
        decide = self.edge.decisions.decide
        number, script = int(match[2]), None if match[3] is None else match[3] == b"1"
        bare = Tag(number, script, b"", None, NO_SIGNALS, None, False)
        image, other = (decide(kind, bare, Visitor(b"", wanted, False, False), b"", b"")[0] for wanted in (False, True))
        if (entry := self.edge.decisions.trackers(kind).entry(number)) is not None:
            self._tags.keep(head, (entry, image, other))

    def _record(self, group: list[bytes], answers: list[tuple[Connection, Decision]]) -> None:
        commits, waiter = self.edge.commits, _Answers(self, answers)
        if not self.edge.wait_for_disk:
            # Not at once: the answers come before the sync.
            waiter.give(None if commits.add(group, None) else Reason.OVERLOAD)
        elif not commits.add(group, waiter, gathered=True):
            waiter.give(Reason.OVERLOAD)


def _without(header: bytes, data: bytes) -> tuple[bytes | None, bytes]:
    """The value of the last header line that begins so, None: there is none, and the request without that line.

    `ValueError` when the line has no end.
    """
    at = data.rfind(header)
    if at < 0:
        return None, data
    start = at + len(header)
    end = data.index(b"\r\n", start)
    return data[start:end], data[:at] + data[end:]


class _Answers:
    """The answers of a turn; they wait for the disk."""

    def __init__(self, turns: Turns, answers: list[tuple[Connection, Decision]]) -> None:
        self._turns = turns
        self._answers = answers

    def settled(self, recorded: bool) -> None:
        """The events are on disk, or the disk refused them."""
        self.give(None if recorded else Reason.JOURNAL)

    def give(self, reason: Reason | None) -> None:
        """Gives all answers; `reason`: why nothing is counted after all."""
        turns = self._turns
        one_by_one = reason is not None or turns.edge.draining
        wire, headers, until = turns.edge.wire, turns.state.default_headers, turns.loop.time() + turns.keep_alive
        last, text = None, b""
        for connection, made in self._answers:
            try:
                if one_by_one:
                    connection.answer(made if reason is None else made.unless(reason))
                    continue
                if made is not last:
                    last, text = made, wire.text(made, headers)
                connection.silent_until = until
                connection.write(text)
            except Exception:
                # Whatever is wrong with one connection, the others of its turn get their answer.
                _log.exception("an answer could not be written")
