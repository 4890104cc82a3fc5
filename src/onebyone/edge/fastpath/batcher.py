"""Decides the requests of one poll together, writes their events to disk together and answers them together.

The interpreter is fastest when it does the same thing many times in a row, and each poll of the sockets has a cost of
its own. So all ready connections are read first and decided as one batch. While requests arrive in quick succession but
few at a time, the loop pauses for a moment before it reads: then one poll, and one sync of the disk, serves more of
them.

In nearly every request only the cachebuster and the page are new. The other parts are looked up by their bytes
(`request_memo.py`): what was decided for this tag, which members these headers add to the event, what this `ancost` is.
A request with an unknown part is parsed and decided in full (`request_parser.parse_request`, `Decisions.decide`), and
then its parts are remembered.

Read `RequestBatcher._decide` from top to bottom. While the disk is quick, a batch is decided, recorded and answered
within one call of `Acceptor.poll`, so nothing else runs in between. While it is slow, the connections of the batch are
held until the batch is on disk.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import structlog

from onebyone.edge.fastpath import request_parser
from onebyone.edge.fastpath.connection import Connection
from onebyone.edge.fastpath.request_batch import RequestBatch
from onebyone.edge.fastpath.request_memo import REFERRER, VERSION, RequestMemo
from onebyone.edge.fastpath.response_cache import ResponseCache
from onebyone.edge.recorder import Recorder
from onebyone.edge.tags import client
from onebyone.edge.tags.client import REFERRER_MAX
from onebyone.edge.tags.proxy_retries import NOTHING, Sighting
from onebyone.edge.tags.query import ANCOST_SEPARATOR, CACHEBUSTER_MAX, CACHEBUSTER_SEPARATOR
from onebyone.edge.tags.reasons import Reason

PAUSE_SECONDS = 0.0003
"""How long the loop pauses for more requests; 0.2 and 0.5 ms cost the same, 1 ms costs more (docs/performance.md)."""
PAUSE_WITHIN_SECONDS = 0.001
"""The loop pauses only this soon after a batch of several clients: a single client that sends request after request
would wait in vain."""
ENOUGH_READY = 16
"""With so many requests the loop does not pause: a pause costs as much as two of them, and their clients wait."""
_UNESCAPED = set(range(0x21, 0x7F)) - set(b'"\\')
"""The characters that stand for themselves in a JSON string; nearly every page consists of them."""
_ESCAPED_TO_OTHER = bytes(code if code in _UNESCAPED else ord("!") for code in range(256))
"""Changes every other character; with a deletion instead, `translate` would build a table for each page."""

_log = structlog.get_logger()


class RequestBatcher:
    """Fills, submits and completes the request batches of one process."""

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
        self._memo = RequestMemo(recorder, known_tags)
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
        """Decide what was read from each of these connections; nothing read means that the client has disconnected."""
        if self._recorder.draining.is_set():
            for fd, data in zip(fds, reads, strict=True):
                self._decline(self._connections[fd], data)
            return
        self._memo.forget_stale_tags()
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
        connections, memo = self._connections, self._memo
        tags, clients, costs = memo.tags, memo.clients, memo.costs
        proxies, is_proxy = self._recorder.trusted_proxies.networks, self._recorder.trusted_proxies.include
        idle_deadline, join = self._next_idle_deadline(), b"".join
        events, closing_fds = batch.events, batch.closing_fds
        kept_fds, kept_decisions = batch.kept_fds, batch.kept_decisions
        for fd, data in zip(fds, reads, strict=True):
            connection = connections[fd]
            try:
                request, network = data, connection.network
                if proxies and is_proxy(connection.peer):
                    forwarded, request = memo.cut_address_line(data)
                    network = memo.networks[connection.peer, forwarded]
                line, _, headers = request.partition(VERSION)
                tag, _, values = line.partition(CACHEBUSTER_SEPARATOR)
                if values.isalnum():
                    cachebuster, cost = values, b""
                else:
                    cachebuster, _, ancost = values.partition(ANCOST_SEPARATOR)
                    cost = costs[ancost]
                    if not cachebuster.isalnum():
                        raise KeyError(values)
                entry, fragments, decisions = tags[tag]
                before, referred, after = headers.rpartition(REFERRER)
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
                # A part is unknown, or not usual.
                self._parse_and_decide(connection, data, batch)
                continue
            events.append(
                join((fragments[wants_script], network, members, referrer, page, marker, cachebuster, b'"', cost))
            )
            connection.idle_deadline = idle_deadline
            if close:
                connection.close_after_response = True
                closing_fds.append(fd)
                batch.closing_decisions.append(decisions[wants_script])
            else:
                kept_fds.append(fd)
                kept_decisions.append(decisions[wants_script])

    def _parse_and_decide(self, connection: Connection, data: bytes, batch: RequestBatch) -> None:
        """Decide a request that has an unknown part; decline it if it is not a plain one."""
        request = decided = None
        try:
            request = request_parser.parse_request(data)
            if request is not None:
                network, sighting = self._what_proxies_say(connection, data)
                facts = (request.kind, request.tag, request.client, request.referrer, network)
                if sighting is not NOTHING:
                    # Not remembered: an id is new in each request, and a retry must not be decided from memory.
                    decided = self._recorder.decide_proxied(sighting, *facts)
                elif (decided := self._recorder.decide(*facts))[0].reason is None:
                    self._memo.remember(data, request, connection.peer, network)
        except Exception:
            # `CacheMiss`, or a fault: the ASGI application meets it again, logs it and answers 500.
            decided = None
        if request is None or decided is None:
            self._decline(connection, data)
            return
        decision, event = decided
        connection.close_after_response = request.close
        if event is None:
            connection.respond(decision)
            return
        batch.events.append(event)
        if decision.reason is not None:
            batch.uncounted.append(decision)
        connection.idle_deadline = self._next_idle_deadline()
        (batch.closing_fds if request.close else batch.kept_fds).append(connection.fd)
        (batch.closing_decisions if request.close else batch.kept_decisions).append(decision)

    def _what_proxies_say(self, connection: Connection, data: bytes) -> tuple[bytes, Sighting]:
        """Return the network of the client as a member of its event, and whether this is a retry."""
        proxies = self._recorder.trusted_proxies
        if not proxies.include(connection.peer):
            return connection.network, NOTHING
        headers = request_parser.split_headers(data)
        network = client.network_member(proxies.client_address(connection.peer, headers))
        return network, self._recorder.retries.look(data.split(b" ", 2)[1], headers)

    def _decline(self, connection: Connection, data: bytes) -> None:
        if data:
            connection.decline(data)
        else:
            connection.close()
