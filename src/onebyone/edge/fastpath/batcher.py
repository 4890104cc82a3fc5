"""Decides the requests of one poll together, writes their events to disk together and answers them together.

The interpreter is fastest when it does the same thing many times in a row, and each poll of the sockets has a cost of
its own. So all ready connections are read first and decided as one batch. While requests arrive in quick succession but
few at a time, the loop pauses for a moment before it reads: then one poll, and one sync of the disk, serves more of
them.

In nearly every request only the cachebuster and the page are new. The other parts are looked up by their bytes: what
was decided for this tag, which members these headers add to the event, what this `ancost` is. A request with an unknown
part is parsed and decided in full (`request_parser.parse`, `Decisions.decide`), and its parts are remembered.

Read `RequestBatcher._decide` from top to bottom. While the disk is quick, a batch is decided, recorded and answered
within one call of `Acceptor.poll`, so nothing else runs in between. While it is slow, the connections of the batch are
held until the batch is on disk.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Mapping

import structlog
from uvicorn.server import ServerState

from onebyone.edge.configuration.cache import Tracker
from onebyone.edge.configuration.record_cache import Entry
from onebyone.edge.fastpath import request_parser
from onebyone.edge.fastpath.request_batch import Connection, RequestBatch
from onebyone.edge.fastpath.request_parser import BoundedMemo, ParsedTagRequest
from onebyone.edge.fastpath.response_cache import ResponseCache
from onebyone.edge.recorder import Recorder
from onebyone.edge.tags import client, decision
from onebyone.edge.tags.client import REFERRER_MAX, Client
from onebyone.edge.tags.decision import Decision, EventLine
from onebyone.edge.tags.query import CACHEBUSTER_MAX, NO_SIGNALS, Tag
from onebyone.edge.tags.reasons import Reason

PAUSE_SECONDS = 0.0003
"""How long the loop rests before a batch."""
PAUSE_WITHIN_SECONDS = 0.001
"""It only rests when the batch before was not longer ago, and not of a single client that asks again and again."""
ENOUGH_READY = 16
"""Behind so many requests a batch begins: a rest costs as much as two of them, and their clients wait."""
_MAX_HEADERS_BYTES = 2048
"""Bytes of headers that are remembered."""
_MAX_HOPS_BYTES = 256
"""Bytes of an `X-Forwarded-For` that is remembered."""
_TAG = re.compile(rb"GET (/[a-z]+)\?id=([1-9][0-9]{0,17})(?:&t=([0-9]))?")
_VERSION, _REFERRER, _FORWARDED = b" HTTP/1.1", b"\r\nReferer: ", b"\r\nX-Forwarded-For: "
_CACHEBUSTER, _ANCOST = b"&cachebuster=", b"&ancost="
_UNESCAPED = set(range(0x21, 0x7F)) - set(b'"\\')
"""What a page may consist of to be a JSON string as it is; nearly all do."""
_UNCHANGED = bytes(code if code in _UNESCAPED else ord("!") for code in range(256))
"""Changes what else is in it; to delete that instead, `translate` would make a table anew for each page."""

_KnownTag = tuple[Entry[Tracker], bytes, Decision, Decision]
"""What a tag leads to: its tracker's entry, the fragment while that is current, the decision for an image and for a
script."""
_Sender = tuple[bytes, bool, bool]
"""What headers say: the agent and the privacy signals (members of an event line), whether a script is wanted, whether
to close."""
_Headers = bytes | tuple[bytes, bytes]
"""All headers; or those before the referrer, and those behind it."""

_log = structlog.get_logger()


class RequestBatcher:
    """Takes the turns of one process, and remembers what is usual."""

    def __init__(
        self,
        recorder: Recorder,
        known_tags: int,
        loop: asyncio.AbstractEventLoop,
        keep_alive: float,
        state: ServerState,
        connections: Mapping[int, Connection],
    ) -> None:
        """`known_tags`: tags that are remembered at most. `keep_alive`: seconds that a connection may be idle after a
        response. `state` has uvicorn's headers. `connections`: by descriptor."""
        self._recorder = recorder
        self.responses = ResponseCache(state)
        self.loop = loop
        self.keep_alive = keep_alive
        self.connections = connections
        self._cache = recorder.decisions.cache
        self._epoch = 0
        self._tags: BoundedMemo[bytes, _KnownTag] = BoundedMemo(known_tags)
        self._senders: BoundedMemo[_Headers, _Sender] = BoundedMemo()
        self._costs: BoundedMemo[bytes, bytes] = BoundedMemo()
        self._networks: BoundedMemo[tuple[str, bytes], bytes] = BoundedMemo(16_384)
        self._pause_until = 0.0

    def pause_for_more(self, ready: int) -> bool:
        """Whether the loop has rested, for others to come to the same batch as those who are `ready`."""
        if ready >= ENOUGH_READY or time.monotonic() >= self._pause_until:
            return False
        time.sleep(PAUSE_SECONDS)
        return True

    @property
    def draining(self) -> bool:
        """Whether every response closes its connection."""
        return self._recorder.draining.is_set()

    def new_batch(self) -> RequestBatch:
        """A batch that nobody has come to yet."""
        return RequestBatch(self._recorder, self.responses, self.connections)

    def add(self, batch: RequestBatch, fds: list[int], read: list[bytes]) -> None:
        """What was read of each of these connections comes to the batch; empty: the client has gone."""
        if self._recorder.draining.is_set():
            for fd, data in zip(fds, read, strict=True):
                self._decline(self.connections[fd], data)
            return
        if self._epoch != self._cache.epoch:
            self._epoch = self._cache.epoch
            self._tags.clear()
        try:
            self._decide(batch, fds, read)
        except Exception:
            # Whoever waits for an answer now would wait for ever.
            _log.exception("a batch could not be taken")
            batch.abandon()
            for fd in fds:
                if (connection := self.connections.get(fd)) is not None:
                    connection.close()

    def submit(self, batch: RequestBatch) -> None:
        """Its events, no more than one batch, go to the disk."""
        if not batch.lines:
            return
        recorder = self._recorder
        try:
            if not recorder.wait_for_disk:
                # Not `gathered`: the answers come before the sync.
                batch.respond(None if recorder.submit(batch.lines, None) else Reason.OVERLOAD)
            elif not recorder.submit(batch.lines, batch, gathered=True):
                batch.respond(Reason.OVERLOAD)
        except Exception:
            _log.exception("a batch could not be recorded")
            batch.abandon()
        among_others = len(batch.lines) > 1 or batch.accepted
        self._pause_until = time.monotonic() + PAUSE_WITHIN_SECONDS if among_others else 0.0

    def complete(self, batch: RequestBatch) -> None:
        """Its answers are given once it is on disk: now, if the disk is quick."""
        if batch.unanswered:
            self._recorder.commits.flush()
        else:
            # Many turns may follow before the loop would hear of it.
            self._recorder.commits.poll()
        batch.suspend()

    def _decide(self, batch: RequestBatch, fds: list[int], read: list[bytes]) -> None:
        connections, tags, senders, costs = self.connections, self._tags, self._senders, self._costs
        proxies, idle_deadline, join = self._recorder.trusted_proxies, self.loop.time() + self.keep_alive, b"".join
        staying, decisions, leaving, lines = batch.kept, batch.kept_decisions, batch.closing, batch.lines
        for fd, data in zip(fds, read, strict=True):
            connection = connections[fd]
            try:
                text, network = data, connection.network
                if proxies:
                    hops, text = _cut_forwarded_for(data)
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
                    if not page or page.translate(_UNCHANGED) != page or len(page) > REFERRER_MAX:
                        raise KeyError(page)
                    referrer, marker = b',"ref":"', b'","cb":"'
                else:
                    sender, script, close = senders[headers]
                    page = referrer = b""
                    marker = b',"cb":"'
                if entry.generation < 0 or len(cachebuster) > CACHEBUSTER_MAX:
                    raise KeyError(head)
            except (KeyError, ValueError):
                self._parse_and_decide(connection, data, batch)
                continue
            lines.append(join((fragment, network, sender, referrer, page, marker, cachebuster, b'"', cost)))
            connection.idle_deadline = idle_deadline
            if close:
                connection.close_after_response = True
                leaving.append(fd)
                batch.closing_decisions.append(scripted if script else image)
            else:
                staying.append(fd)
                decisions.append(scripted if script else image)

    def _parse_and_decide(self, connection: Connection, data: bytes, batch: RequestBatch) -> None:
        """Any plain request is decided and recorded; another has its answer behind this, or was declined."""
        made = None
        try:
            request = request_parser.parse(data)
            if request is not None:
                made = self._decide_parsed(connection, request)
                if made[1] is not None:
                    self._remember(data, request)
        except Exception:
            # `CacheMiss`; or a fault, which the ASGI way will meet again, log, and answer with a 500.
            request = None
        if request is None or made is None:
            self._decline(connection, data)
            return
        (decision, line), close = made, request[-1]
        connection.close_after_response = close
        if line is None:
            connection.respond(decision)
            return
        batch.lines.append(line)
        connection.idle_deadline = self.loop.time() + self.keep_alive
        (batch.closing if close else batch.kept).append(connection.fd)
        (batch.closing_decisions if close else batch.kept_decisions).append(decision)

    def _decide_parsed(self, connection: Connection, request: ParsedTagRequest) -> tuple[Decision, EventLine | None]:
        kind, tag, sender, referrer, forwarded, _ = request
        network, proxies = connection.network, self._recorder.trusted_proxies
        if proxies and forwarded is not None:
            hops = [(b"x-forwarded-for", forwarded)]
            network = client.network_member(client.client_address(connection.peer, hops, proxies))
            if len(forwarded) <= _MAX_HOPS_BYTES:
                self._networks.remember((connection.peer, forwarded), network)
        return self._recorder.decide(kind, tag, sender, referrer, network)

    def _decline(self, connection: Connection, data: bytes) -> None:
        if data:
            connection.decline(data)
        else:
            connection.close()

    def _remember(self, data: bytes, request: ParsedTagRequest) -> None:
        """Remembers the parts of a request that was recorded, each if nothing is odd about it."""
        kind, tag, sender, referrer, forwarded, close = request
        hops, text = _cut_forwarded_for(data) if self._recorder.trusted_proxies else (None, data)
        line, _, headers = text.partition(_VERSION)
        head, _, values = line.partition(_CACHEBUSTER)
        ancost = values.partition(_ANCOST)[2]
        if ancost not in self._costs and (tag.ancost or b"") == ancost:
            cost = decision.ancost_member(ancost)
            if cost or not ancost:
                self._costs.remember(ancost, cost)
        before, referred, behind = headers.rpartition(_REFERRER)
        around: _Headers = (before, behind.partition(b"\r\n")[2]) if referred else headers
        # A header whose name is written otherwise was not cut out; such lines are new with each page or client.
        cut = bool(referred) == bool(referrer) and hops == forwarded
        if cut and not sender.prefetch and len(headers) <= _MAX_HEADERS_BYTES and around not in self._senders:
            members = sender.agent + client.privacy_members(NO_SIGNALS, sender.gpc)
            self._senders.remember(around, (members, sender.script, close))
        known = self._tags.get(head)
        if known is not None and known[0].generation >= 0:
            return
        match = _TAG.fullmatch(head)
        if match is None:
            return
        decide = self._recorder.decisions.decide
        number, script = int(match[2]), None if match[3] is None else match[3] == b"1"
        bare = Tag(number, script, b"", None, NO_SIGNALS, None, False)
        image, scripted = (
            decide(kind, bare, Client(b"", wanted, False, False), b"", b"")[0] for wanted in (False, True)
        )
        if (entry := self._recorder.decisions.trackers(kind).entry(number)) is not None:
            self._tags.remember(head, (entry, entry.record.fragment, image, scripted))


def _cut_forwarded_for(data: bytes) -> tuple[bytes | None, bytes]:
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
