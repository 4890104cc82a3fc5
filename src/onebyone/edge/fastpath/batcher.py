"""Turns: the requests that have come since the last look are decided together, put on disk together, answered together.

The interpreter is quickest when it does the same for many, one after the other, and each look of the loop at its
connections has a price of its own. So all that have something are read first, and are taken together. While requests
come one behind the other, few at a time, the loop rests for a moment first: more come to one look then, and to one sync
of the disk.

Of nearly every request only the cachebuster and the page are new. The rest is looked up by its bytes: what was decided
of the tag before it, who sends these headers, what this `ancost` is. Whatever is not found there takes the long way,
`plain.read` and `Decisions.decide`, and is known from then on if it may be.

Read `Turns._decide` from top to bottom. While the disk is quick all of a turn happens in one look of the loop
(`entrance.py`): nothing of it can be met by another. When it is slow, the connections of the turn are held until it has
been written.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Mapping

import structlog
from uvicorn.server import ServerState

from onebyone.edge.asgi import Edge
from onebyone.edge.configuration.cache import Entry, Tracker
from onebyone.edge.fastpath import request_parser
from onebyone.edge.fastpath.request_batch import Connection, Turn
from onebyone.edge.fastpath.request_parser import Memo, Plain
from onebyone.edge.tags import client, decision
from onebyone.edge.tags.client import REFERRER_MAX, Visitor
from onebyone.edge.tags.decision import Decision, Event
from onebyone.edge.tags.query import CACHEBUSTER_MAX, NO_SIGNALS, Tag
from onebyone.edge.tags.reasons import Reason

REST_SECONDS = 0.0003
"""How long the loop rests before a turn."""
REST_AFTER_SECONDS = 0.001
"""It only rests when the turn before was not longer ago, and not of a single client that asks again and again."""
ENOUGH = 16
"""Behind so many requests a turn begins: a rest costs as much as two of them, and their clients wait."""
_LONGEST = 2048
"""Bytes of headers that are remembered."""
_LONGEST_HOPS = 256
"""Bytes of an `X-Forwarded-For` that is remembered."""
_TAG = re.compile(rb"GET (/[a-z]+)\?id=([1-9][0-9]{0,17})(?:&t=([0-9]))?")
_VERSION, _REFERRER, _FORWARDED = b" HTTP/1.1", b"\r\nReferer: ", b"\r\nX-Forwarded-For: "
_CACHEBUSTER, _ANCOST = b"&cachebuster=", b"&ancost="
_UNESCAPED = set(range(0x21, 0x7F)) - set(b'"\\')
"""What a page may consist of to be a JSON string as it is; nearly all do."""
_AS_IT_IS = bytes(code if code in _UNESCAPED else ord("!") for code in range(256))
"""Changes what else is in it; to delete that instead, `translate` would make a table anew for each page."""

_Known = tuple[Entry[Tracker], bytes, Decision, Decision]
"""What a tag leads to: its tracker's entry, the fragment while that is current, the decision for an image and for a
script."""
_Sender = tuple[bytes, bool, bool]
"""What headers say: the agent and the privacy signals (members of an event line), whether a script is wanted, whether
to close."""
_Headers = bytes | tuple[bytes, bytes]
"""All headers; or those before the referrer, and those behind it."""

_log = structlog.get_logger()


class Turns:
    """Takes the turns of one process, and remembers what is usual."""

    def __init__(
        self,
        edge: Edge,
        loop: asyncio.AbstractEventLoop,
        keep_alive: float,
        state: ServerState,
        connections: Mapping[int, Connection],
    ) -> None:
        """`keep_alive`: seconds that a connection may be silent behind an answer. `state` has uvicorn's headers.
        `connections`: by descriptor."""
        self.edge = edge
        self.loop = loop
        self.keep_alive = keep_alive
        self.state = state
        self.connections = connections
        self._lookups = edge.decisions.lookups
        self._doubts = 0
        self._tags: Memo[bytes, _Known] = Memo(edge.tracker_cache)
        self._senders: Memo[_Headers, _Sender] = Memo()
        self._costs: Memo[bytes, bytes] = Memo()
        self._networks: Memo[tuple[str, bytes], bytes] = Memo(16_384)
        self._rest_until = 0.0

    def rest(self, ready: int) -> bool:
        """Whether the loop has rested, for others to come to the same turn as those who are `ready`."""
        if ready >= ENOUGH or time.monotonic() >= self._rest_until:
            return False
        time.sleep(REST_SECONDS)
        return True

    def open(self) -> Turn:
        """A turn that nobody has come to yet."""
        return Turn(self.edge, self.state, self.connections)

    def take(self, turn: Turn, numbers: list[int], read: list[bytes]) -> None:
        """What was read of each of these connections comes to the turn; empty: the client has gone."""
        if self.edge.draining:
            for number, data in zip(numbers, read, strict=True):
                self._decline(self.connections[number], data)
            return
        if self._doubts != self._lookups.doubts:
            self._doubts = self._lookups.doubts
            self._tags.clear()
        try:
            self._decide(turn, numbers, read)
        except Exception:
            # Whoever waits for an answer now would wait for ever.
            _log.exception("a turn could not be taken")
            turn.drop()
            for number in numbers:
                if (connection := self.connections.get(number)) is not None:
                    connection.close()

    def begin(self, turn: Turn) -> None:
        """Its events, no more than one batch, go to the disk."""
        if not turn.lines:
            return
        edge = self.edge
        try:
            group = [edge.mint.head_line(len(turn.lines)), *turn.lines]
            if not edge.wait_for_disk:
                # Not at once: the answers come before the sync.
                turn.give(None if edge.commits.submit(group, None) else Reason.OVERLOAD)
            elif not edge.commits.submit(group, turn, gathered=True):
                turn.give(Reason.OVERLOAD)
        except Exception:
            _log.exception("a turn could not be recorded")
            turn.drop()
        among_others = len(turn.lines) > 1 or turn.arrived
        self._rest_until = time.monotonic() + REST_AFTER_SECONDS if among_others else 0.0

    def end(self, turn: Turn) -> None:
        """Its answers are given once it is on disk: now, if the disk is quick."""
        if turn.waits:
            self.edge.commits.flush()
        else:
            # Many turns may follow before the loop would hear of it.
            self.edge.commits.poll()
        turn.leave()

    def _decide(self, turn: Turn, numbers: list[int], read: list[bytes]) -> None:
        connections, tags, senders, costs = self.connections, self._tags, self._senders, self._costs
        proxies, silent_until, join = self.edge.proxies, self.loop.time() + self.keep_alive, b"".join
        staying, decisions, leaving, lines = turn.staying, turn.decisions, turn.leaving, turn.lines
        for number, data in zip(numbers, read, strict=True):
            connection = connections[number]
            try:
                text, network = data, connection.network
                if proxies:
                    hops, text = _without_hops(data)
                    if hops is not None:
                        network = self._networks[connection.peer, hops]
                line, _, headers = text.partition(_VERSION)
                head, _, values = line.partition(_CACHEBUSTER)
                if values.isalnum():
                    cachebuster, cost = values, b""
                else:
                    cachebuster, _, ancost = values.partition(_ANCOST)
                    cost = costs[ancost]
                    if not cachebuster.isalnum():
                        raise KeyError(values)
                entry, fragment, image, scripted = tags[head]
                before, referred, behind = headers.rpartition(_REFERRER)
                if referred:
                    page, _, behind = behind.partition(b"\r\n")
                    sender, script, close = senders[before, behind]
                    if not page or page.translate(_AS_IT_IS) != page or len(page) > REFERRER_MAX:
                        raise KeyError(page)
                    referrer, marker = b',"ref":"', b'","cb":"'
                else:
                    sender, script, close = senders[headers]
                    page = referrer = b""
                    marker = b',"cb":"'
                if entry.generation < 0 or len(cachebuster) > CACHEBUSTER_MAX:
                    raise KeyError(head)
            except (KeyError, ValueError):
                self._the_long_way(connection, data, turn)
                continue
            lines.append(join((fragment, network, sender, referrer, page, marker, cachebuster, b'"', cost)))
            connection.silent_until = silent_until
            if close:
                connection.closes = True
                leaving.append(number)
                turn.last_decisions.append(scripted if script else image)
            else:
                staying.append(number)
                decisions.append(scripted if script else image)

    def _the_long_way(self, connection: Connection, data: bytes, turn: Turn) -> None:
        """Any plain request is decided and recorded; another has its answer behind this, or was declined."""
        made = None
        try:
            request = request_parser.read(data)
            if request is not None:
                made = self._made(connection, request)
                if made[1] is not None:
                    self._learn(data, request)
        except Exception:
            # `Cold`; or a fault, which the ASGI way will meet again, log, and answer with a 500.
            request = None
        if request is None or made is None:
            self._decline(connection, data)
            return
        (decision, line), close = made, request[-1]
        connection.closes = close
        if line is None:
            connection.answer(decision)
            return
        turn.lines.append(line)
        connection.silent_until = self.loop.time() + self.keep_alive
        (turn.leaving if close else turn.staying).append(connection.number)
        (turn.last_decisions if close else turn.decisions).append(decision)

    def _made(self, connection: Connection, request: Plain) -> tuple[Decision, Event | None]:
        kind, tag, sender, referrer, forwarded, _ = request
        network, proxies = connection.network, self.edge.proxies
        if proxies and forwarded is not None:
            hops = [(b"x-forwarded-for", forwarded)]
            network = client.network(client.client_address(connection.peer, hops, proxies))
            if len(forwarded) <= _LONGEST_HOPS:
                self._networks.keep((connection.peer, forwarded), network)
        return self.edge.decisions.decide(kind, tag, sender, referrer, network)

    def _decline(self, connection: Connection, data: bytes) -> None:
        if data:
            connection.decline(data)
        else:
            connection.close()

    def _learn(self, data: bytes, request: Plain) -> None:
        """Remembers the parts of a request that was recorded, each if nothing is odd about it."""
        kind, tag, sender, referrer, forwarded, close = request
        hops, text = _without_hops(data) if self.edge.proxies else (None, data)
        line, _, headers = text.partition(_VERSION)
        head, _, values = line.partition(_CACHEBUSTER)
        ancost = values.partition(_ANCOST)[2]
        if ancost not in self._costs and (tag.ancost or b"") == ancost:
            cost = decision.cost(ancost)
            if cost or not ancost:
                self._costs.keep(ancost, cost)
        before, referred, behind = headers.rpartition(_REFERRER)
        around: _Headers = (before, behind.partition(b"\r\n")[2]) if referred else headers
        # A header whose name is written otherwise was not cut out; such lines are new with each page or client.
        cut = bool(referred) == bool(referrer) and hops == forwarded
        if cut and not sender.prefetch and len(headers) <= _LONGEST and around not in self._senders:
            members = sender.agent + client.privacy(NO_SIGNALS, sender.gpc)
            self._senders.keep(around, (members, sender.script, close))
        known = self._tags.get(head)
        if known is not None and known[0].generation >= 0:
            return
        match = _TAG.fullmatch(head)
        if match is None:
            return
        decide = self.edge.decisions.decide
        number, script = int(match[2]), None if match[3] is None else match[3] == b"1"
        bare = Tag(number, script, b"", None, NO_SIGNALS, None, False)
        image, scripted = (
            decide(kind, bare, Visitor(b"", wanted, False, False), b"", b"")[0] for wanted in (False, True)
        )
        if (entry := self.edge.decisions.trackers(kind).entry(number)) is not None:
            self._tags.keep(head, (entry, entry.record.fragment, image, scripted))


def _without_hops(data: bytes) -> tuple[bytes | None, bytes]:
    """The value of the last `X-Forwarded-For`, None: there is none, and the request without that line.

    `ValueError` when it is no line of the head.
    """
    at = data.rfind(_FORWARDED)
    if at < 0:
        return None, data
    start = at + len(_FORWARDED)
    end = data.index(b"\r\n", start)
    if data[at - 2 : at] == b"\r\n":
        raise ValueError("it stands behind the head")
    return data[start:end], data[:at] + data[end:]
