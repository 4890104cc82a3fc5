"""The edge as an ASGI application: answers every request that the fast path does not take, on any ASGI server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, NamedTuple

from onebyone.contracts.events import Kind
from onebyone.edge.configuration.record_cache import ConfigurationUnavailable
from onebyone.edge.recorder import Recorder
from onebyone.edge.tags import client, paths, query
from onebyone.edge.tags.client import Client
from onebyone.edge.tags.decision import HEADERS, CacheMiss, Decision, EventLine, FetchedRecords
from onebyone.edge.tags.proxy_retries import NOTHING, Sighting
from onebyone.edge.tags.query import Tag
from onebyone.edge.tags.reasons import Reason
from onebyone.runtime.trusted_proxies import TrustedProxies

BODY_MAX = 65_536
"""Bytes of a request body after which the connection is closed. Tags have none, and what comes is read and dropped;
browsers send no longer beacons."""

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class _TagRequest(NamedTuple):
    """The arguments of `Recorder.decide`, in its order."""

    kind: Kind
    tag: Tag
    sender: Client
    referrer: bytes
    network: bytes
    method: str


class _DurableFuture:
    """Waits for one event to be on disk. Its task may be cancelled; the others of its batch must not notice."""

    def __init__(self) -> None:
        self.future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def on_durable(self, ok: bool) -> None:
        if not self.future.done():
            self.future.set_result(ok)


class EdgeApp:
    """Answers tag requests, and passes every other path to `ops_app`."""

    def __init__(self, recorder: Recorder, ops_app: App) -> None:
        self._recorder = recorder
        self._ops_app = ops_app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        if (kind := paths.tag_kind(path)) is not None:
            request = _tag_request(kind, scope, self._recorder.trusted_proxies)
            decision = await self._record(*await self._decide(request, self._look(scope)))
        elif (kind := paths.similar_kind(path)) is not None:
            request = _tag_request(kind, scope, self._recorder.trusted_proxies)
            decision = self._recorder.decide_bad_path(*request[:3])
        else:
            await self._ops_app(scope, receive, send)
            return
        response = decision.response
        headers = [*response.headers, decision.verdict]
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else response.body})

    def _look(self, scope: Scope) -> Sighting:
        recorder, peer = self._recorder, scope["client"][0] if scope["client"] else ""
        if not recorder.trusted_proxies.include(peer):
            return NOTHING
        path = scope.get("raw_path") or scope["path"].encode()
        return recorder.retries.look(b"%b?%b" % (path, scope["query_string"]), scope["headers"])

    async def _decide(self, request: _TagRequest, sighting: Sighting) -> tuple[Decision, EventLine | None]:
        recorder, members = self._recorder, self._recorder.decisions.cache.members
        fetched: FetchedRecords = {}
        while True:
            try:
                return recorder.decide_proxied(sighting, *request, fetched)
            except CacheMiss as miss:
                try:
                    fetched[miss.records, miss.record_id] = await miss.records.fetch(miss.record_id)
                except ConfigurationUnavailable:
                    if miss.records is not members:
                        return recorder.decide_without_configuration(*request[:3]), None
                    # The tracker is known, so the event counts; only the `redir` cannot be approved.
                    fetched[miss.records, miss.record_id] = None

    async def _record(self, decision: Decision, event: EventLine | None) -> Decision:
        if event is None:
            return decision
        waiter = _DurableFuture() if self._recorder.wait_for_disk else None
        if not self._recorder.submit([event], waiter):
            return self._recorder.refuse(decision, Reason.OVERLOAD)
        if waiter is not None and not await waiter.future:
            return self._recorder.refuse(decision, Reason.JOURNAL)
        self._recorder.count_kept(decision)
        return decision


def _tag_request(kind: Kind, scope: Scope, trusted_proxies: TrustedProxies) -> _TagRequest:
    peer = scope["client"][0] if scope["client"] else ""
    address = trusted_proxies.client_address(peer, scope["headers"])
    headers = {name: value for name, value in scope["headers"] if name in HEADERS}
    referrer = headers.get(b"referer")
    return _TagRequest(
        kind,
        query.parse_tag(scope["query_string"]),
        client.parse_client(headers),
        b"" if referrer is None else client.referrer_member(referrer),
        client.network_member(address),
        scope["method"],
    )
