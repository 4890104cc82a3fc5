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

import time
from collections.abc import Callable, Mapping

import structlog

from onebyone.edge.configuration.cache import Tracker
from onebyone.edge.configuration.record_cache import Entry
from onebyone.edge.fastpath import request_parser
from onebyone.edge.fastpath.connection import Connection
from onebyone.edge.fastpath.request_batch import RequestBatch
from onebyone.edge.fastpath.request_parser import BoundedMemo, ParsedTagRequest
from onebyone.edge.fastpath.response_cache import ResponseCache
from onebyone.edge.recorder import Recorder
from onebyone.edge.tags import client, decision, query
from onebyone.edge.tags.client import REFERRER_MAX, Client
from onebyone.edge.tags.decision import Decision, EventLine
from onebyone.edge.tags.query import ANCOST_SEPARATOR, CACHEBUSTER_MAX, CACHEBUSTER_SEPARATOR, NO_SIGNALS
from onebyone.edge.tags.reasons import Reason

PAUSE_SECONDS = 0.0003
"""How long the loop pauses for more requests; 0.2 and 0.5 ms cost the same, 1 ms costs more (docs/performance.md)."""
PAUSE_WITHIN_SECONDS = 0.001
"""The loop pauses only this soon after a batch of several clients: a single client that sends request after request
would wait for nobody."""
ENOUGH_READY = 16
"""With so many requests the loop does not pause: a pause costs as much as two of them, and their clients wait."""
_MAX_HEADERS_BYTES = 2048
"""Longer headers are not remembered; a browser sends less, and a full memo stays below ten megabytes."""
_MAX_FORWARDED_BYTES = 256
"""A longer `X-Forwarded-For` is not remembered: a client may invent any number of them."""
_KNOWN_NETWORKS = 16_384
"""As many addresses as `client.network_member` caches."""
_VERSION, _REFERRER, _FORWARDED = b" HTTP/1.1", b"\r\nReferer: ", b"\r\nX-Forwarded-For: "
_UNESCAPED = set(range(0x21, 0x7F)) - set(b'"\\')
"""The characters that stand for themselves in a JSON string; nearly every page consists of them."""
_ESCAPED_TO_OTHER = bytes(code if code in _UNESCAPED else ord("!") for code in range(256))
"""Changes every other character; with a deletion instead, `translate` would build a table for each page."""

_KnownTag = tuple[Entry[Tracker], bytes, Decision, Decision]
"""The entry of its tracker, the fragment while that entry is current, the decision for an image and for a script."""
_KnownClient = tuple[bytes, bool, bool]
"""The members that the headers add to an event (agent, privacy signals); whether they ask for a script; whether they
ask to close the connection."""
_Headers = bytes | tuple[bytes, bytes]
"""All header lines; or those before and those after the referrer."""

_log = structlog.get_logger()


class RequestBatcher:
    """Fills, submits and completes the request batches of one process, and remembers the usual parts of requests."""

    def __init__(
        self,
        recorder: Recorder,
        responses: ResponseCache,
        known_tags: int,
        next_idle_deadline: Callable[[], float],
        connections: Mapping[int, Connection],
    ) -> None:
        """Remember up to `known_tags` tags. `connections` are all open connections by descriptor.

        `next_idle_deadline()` returns when a connection that falls silent now is closed, on the loop's clock.
        """
        self._recorder = recorder
        self._responses = responses
        self._next_idle_deadline = next_idle_deadline
        self._connections = connections
        self._config_cache = recorder.decisions.cache
        self._config_epoch = 0
        self._tags: BoundedMemo[bytes, _KnownTag] = BoundedMemo(known_tags)
        self._clients: BoundedMemo[_Headers, _KnownClient] = BoundedMemo()
        self._costs: BoundedMemo[bytes, bytes] = BoundedMemo()
        self._networks: BoundedMemo[tuple[str, bytes], bytes] = BoundedMemo(_KNOWN_NETWORKS)
        self._pause_until = 0.0

    def pause_for_more(self, ready: int) -> bool:
        """Sleep for a moment if more requests are likely to join those that are `ready`; return whether it did."""
        if ready >= ENOUGH_READY or time.monotonic() >= self._pause_until:
            return False
        time.sleep(PAUSE_SECONDS)
        return True

    def new_batch(self) -> RequestBatch:
        """Create an empty request batch."""
        return RequestBatch(self._recorder, self._responses, self._connections)

    def add(self, batch: RequestBatch, fds: list[int], reads: list[bytes]) -> None:
        """Decide what was read from each of these connections; nothing read means that the client has gone."""
        if self._recorder.draining.is_set():
            for fd, data in zip(fds, reads, strict=True):
                self._decline(self._connections[fd], data)
            return
        if self._config_epoch != self._config_cache.epoch:
            self._config_epoch = self._config_cache.epoch
            self._tags.clear()
        try:
            self._decide(batch, fds, reads)
        except Exception:
            # No response would ever be written to these connections.
            _log.exception("cannot decide a request batch")
            batch.abandon()
            for fd in fds:
                if (connection := self._connections.get(fd)) is not None:
                    connection.close()

    def submit(self, batch: RequestBatch) -> None:
        """Submit the events of the batch, which are no more than one journal batch takes."""
        if not batch.events:
            return
        recorder = self._recorder
        try:
            if not recorder.wait_for_disk:
                # The responses are written before the sync, so nothing is gained by starting it immediately.
                batch.respond(None if recorder.submit(batch.events, None) else Reason.OVERLOAD)
            elif not recorder.submit(batch.events, batch, gathered=True):
                batch.respond(Reason.OVERLOAD)
        except Exception:
            _log.exception("cannot record a request batch")
            batch.abandon()
        several_clients = len(batch.events) > 1 or batch.accepted
        self._pause_until = time.monotonic() + PAUSE_WITHIN_SECONDS if several_clients else 0.0

    def complete(self, batch: RequestBatch) -> None:
        """Wait for the batch to be on disk and answered, if the disk is quick; otherwise hold its connections."""
        if batch.unanswered:
            self._recorder.commits.flush()
        else:
            # Many batches may follow before the loop itself looks at the disk again.
            self._recorder.commits.poll()
        batch.suspend()

    def _decide(self, batch: RequestBatch, fds: list[int], reads: list[bytes]) -> None:
        connections, tags, clients, costs = self._connections, self._tags, self._clients, self._costs
        trusted_proxies, idle_deadline, join = self._recorder.trusted_proxies, self._next_idle_deadline(), b"".join
        events, closing_fds = batch.events, batch.closing_fds
        kept_fds, kept_decisions = batch.kept_fds, batch.kept_decisions
        for fd, data in zip(fds, reads, strict=True):
            connection = connections[fd]
            try:
                request, network = data, connection.network
                if trusted_proxies:
                    forwarded, request = _cut_forwarded_for(data)
                    if forwarded is not None:
                        network = self._networks[connection.peer, forwarded]
                line, _, headers = request.partition(_VERSION)
                tag, _, values = line.partition(CACHEBUSTER_SEPARATOR)
                if values.isalnum():
                    cachebuster, cost = values, b""
                else:
                    cachebuster, _, ancost = values.partition(ANCOST_SEPARATOR)
                    cost = costs[ancost]
                    if not cachebuster.isalnum():
                        raise KeyError(values)
                entry, fragment, image, script = tags[tag]
                before, referred, after = headers.rpartition(_REFERRER)
                if referred:
                    page, _, after = after.partition(b"\r\n")
                    members, wants_script, close = clients[before, after]
                    if not page or page.translate(_ESCAPED_TO_OTHER) != page or len(page) > REFERRER_MAX:
                        raise KeyError(page)
                    referrer, marker = b',"ref":"', b'","cb":"'
                else:
                    members, wants_script, close = clients[headers]
                    page = referrer = b""
                    marker = b',"cb":"'
                if entry.generation < 0 or len(cachebuster) > CACHEBUSTER_MAX:
                    raise KeyError(tag)
            except (KeyError, ValueError):
                self._parse_and_decide(connection, data, batch)
                continue
            events.append(join((fragment, network, members, referrer, page, marker, cachebuster, b'"', cost)))
            connection.idle_deadline = idle_deadline
            if close:
                connection.close_after_response = True
                closing_fds.append(fd)
                batch.closing_decisions.append(script if wants_script else image)
            else:
                kept_fds.append(fd)
                kept_decisions.append(script if wants_script else image)

    def _parse_and_decide(self, connection: Connection, data: bytes, batch: RequestBatch) -> None:
        """Decide a request that has an unknown part; decline it if it is not a plain one."""
        request = decided = None
        try:
            request = request_parser.parse(data)
            if request is not None:
                decided = self._decide_parsed(connection, request)
                if decided[1] is not None:
                    self._remember(data, request)
        except Exception:
            # `CacheMiss`, or a fault: the ASGI application meets it again, logs it and answers 500.
            decided = None
        if request is None or decided is None:
            self._decline(connection, data)
            return
        made, event = decided
        connection.close_after_response = request.close
        if event is None:
            connection.respond(made)
            return
        batch.events.append(event)
        connection.idle_deadline = self._next_idle_deadline()
        (batch.closing_fds if request.close else batch.kept_fds).append(connection.fd)
        (batch.closing_decisions if request.close else batch.kept_decisions).append(made)

    def _decide_parsed(self, connection: Connection, request: ParsedTagRequest) -> tuple[Decision, EventLine | None]:
        network, trusted_proxies, forwarded = connection.network, self._recorder.trusted_proxies, request.forwarded_for
        if trusted_proxies and forwarded is not None:
            headers = [(b"x-forwarded-for", forwarded)]
            network = client.network_member(client.client_address(connection.peer, headers, trusted_proxies))
            if len(forwarded) <= _MAX_FORWARDED_BYTES:
                self._networks.remember((connection.peer, forwarded), network)
        return self._recorder.decide(request.kind, request.tag, request.client, request.referrer, network)

    def _decline(self, connection: Connection, data: bytes) -> None:
        if data:
            connection.decline(data)
        else:
            connection.close()

    def _remember(self, data: bytes, request: ParsedTagRequest) -> None:
        """Remember the parts of a recorded request, each unless there is something unusual about it."""
        forwarded, rest = _cut_forwarded_for(data) if self._recorder.trusted_proxies else (None, data)
        line, _, headers = rest.partition(_VERSION)
        tag, _, values = line.partition(CACHEBUSTER_SEPARATOR)
        self._remember_cost(values.partition(ANCOST_SEPARATOR)[2], request)
        before, referred, after = headers.rpartition(_REFERRER)
        key: _Headers = (before, after.partition(b"\r\n")[2]) if referred else headers
        # A header with its name in another case was not cut out; with it, the rest is new for each page or client.
        cut = bool(referred) == bool(request.referrer) and forwarded == request.forwarded_for
        if cut and not request.client.prefetch and len(headers) <= _MAX_HEADERS_BYTES and key not in self._clients:
            members = request.client.agent + client.privacy_members(NO_SIGNALS, request.client.gpc)
            self._clients.remember(key, (members, request.client.script, request.close))
        known = self._tags.get(tag)
        if known is None or known[0].generation < 0:
            self._remember_tag(tag, request)

    def _remember_cost(self, ancost: bytes, request: ParsedTagRequest) -> None:
        if ancost not in self._costs and (request.tag.ancost or b"") == ancost:
            cost = decision.ancost_member(ancost)
            if cost or not ancost:
                self._costs.remember(ancost, cost)

    def _remember_tag(self, tag: bytes, request: ParsedTagRequest) -> None:
        """Remember what is decided for `tag`, the request line up to the cachebuster."""
        bare = query.parse_usual(tag.partition(b"?")[2])
        if bare is None or bare.tracker_id is None or bare.ancost is not None:
            return
        decisions = self._recorder.decisions
        image, script = (
            decisions.decide(request.kind, bare, Client(b"", wants_script, False, False), b"", b"")[0]
            for wants_script in (False, True)
        )
        if (entry := decisions.trackers(request.kind).entry(bare.tracker_id)) is not None:
            self._tags.remember(tag, (entry, entry.record.fragment, image, script))


def _cut_forwarded_for(data: bytes) -> tuple[bytes | None, bytes]:
    """Return the value of the last `X-Forwarded-For`, or None, and the request without that line.

    Raise `ValueError` when the line stands after the end of the headers.
    """
    start = data.rfind(_FORWARDED)
    if start < 0:
        return None, data
    value_start = start + len(_FORWARDED)
    end = data.index(b"\r\n", value_start)
    if data[start - 2 : start] == b"\r\n":
        raise ValueError("X-Forwarded-For after the headers")
    return data[value_start:end], data[:start] + data[end:]
