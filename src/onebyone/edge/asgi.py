"""The edge as an ASGI application: every request that the fast way does not take (`fast_way.py`), on any server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, NamedTuple

from onebyone.contracts.events import Kind
from onebyone.edge import metrics
from onebyone.edge.configuration.cache import ConfigCache, ConfigurationUnavailable
from onebyone.edge.fastpath.response_cache import ResponseCache
from onebyone.edge.journal.event_ids import IdAllocator
from onebyone.edge.journal.group_commit import GroupCommit
from onebyone.edge.tags import client, query, responses
from onebyone.edge.tags.client import Client
from onebyone.edge.tags.decision import HEADERS, PATHS, CacheMiss, Decision, Decisions, EventLine, FetchedRecords
from onebyone.edge.tags.query import Tag
from onebyone.edge.tags.reasons import Reason
from onebyone.edge.tags.responses import Header
from onebyone.settings import Network, Settings

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class _Request(NamedTuple):
    """The arguments of `Decisions.decide`."""

    kind: Kind
    tag: Tag
    sender: Client
    referrer: bytes
    network: bytes
    method: str


class _Waiter:
    """A request that waits for the disk. Its client may go away; the others of its batch must not notice."""

    def __init__(self) -> None:
        self.future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def on_durable(self, ok: bool) -> None:
        if not self.future.done():
            self.future.set_result(ok)


class Edge:
    """The ASGI application; everything that is not a tag goes to `operator`."""

    def __init__(self, settings: Settings, lookups: ConfigCache, commits: GroupCommit, operator: App) -> None:
        self.decisions = Decisions(lookups)
        self.commits = commits
        self.proxies = settings.proxy_networks
        self.wait_for_disk = settings.receipt == "disk"
        self.tracker_cache = settings.tracker_cache
        self.draining = False
        """Set once the process is to stop: the fast way then closes behind each answer, as the server does."""
        self._operator = operator
        self.mint = IdAllocator()
        self._members = lookups.members
        self.responses = ResponseCache(self.verdict)
        self._ignored = {
            (kind, reason): metrics.IGNORED.labels(kind, reason) for kind in ("imp", "clk") for reason in Reason
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = PATHS.get(scope["path"])
        if kind is None:
            await self._operator(scope, receive, send)
            return
        decision = await self._record(*await self._decide(_request(kind, scope, self.proxies)))
        response = decision.response
        headers = [*response.headers, self.verdict(decision)]
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else response.body})

    def verdict(self, decision: Decision) -> Header:
        """The `X-OneByOne` of an answer that is about to be given; what was not counted is counted as such."""
        if decision.reason is None:
            return responses.RECORDED
        self._ignored[decision.kind, decision.reason].inc()
        return responses.IGNORED[decision.reason]

    async def _decide(self, request: _Request) -> tuple[Decision, EventLine | None]:
        found: FetchedRecords = {}
        while True:
            try:
                return self.decisions.decide(*request, found)
            except CacheMiss as miss:
                try:
                    found[miss.records, miss.record_id] = await miss.records.fetch(miss.record_id)
                except ConfigurationUnavailable:
                    if miss.records is not self._members:
                        return self.decisions.without_configuration(request.kind, request.tag, request.sender), None
                    # Nobody says that the `redir` is approved; the tracker is known and its event counts.
                    found[miss.records, miss.record_id] = None

    async def _record(self, decision: Decision, line: EventLine | None) -> Decision:
        if line is None:
            return decision
        waiter = _Waiter() if self.wait_for_disk else None
        if not self.commits.submit([self.mint.head_line(1), line], waiter):
            return decision.unrecorded(Reason.OVERLOAD)
        if waiter is not None and not await waiter.future:
            return decision.unrecorded(Reason.JOURNAL)
        return decision


def _request(kind: Kind, scope: Scope, proxies: tuple[Network, ...]) -> _Request:
    peer = scope["client"][0] if scope["client"] else ""
    address = client.client_address(peer, scope["headers"], proxies)
    headers = {name: value for name, value in scope["headers"] if name in HEADERS}
    referrer = headers.get(b"referer")
    return _Request(
        kind,
        query.parse(scope["query_string"]),
        client.parse(headers),
        b"" if referrer is None else client.referrer_member(referrer),
        client.network_member(address),
        scope["method"],
    )
