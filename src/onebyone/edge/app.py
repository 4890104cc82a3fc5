"""The edge as an ASGI application: every request that the fast way does not take (`fast_way.py`), on any server."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from onebyone.edge import answers, metrics, visitor
from onebyone.edge.answers import Answer, Header
from onebyone.edge.commits import Commits
from onebyone.edge.decision import HEADERS, PATHS, Cold, Decision, Decisions, Found, Kind, Request
from onebyone.edge.lookup import ConfigurationUnavailable, Lookups
from onebyone.edge.reasons import Reason
from onebyone.settings import Network, Settings

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class Edge:
    """The ASGI application; everything that is not a tag goes to `operator`."""

    def __init__(self, settings: Settings, lookups: Lookups, commits: Commits, operator: App) -> None:
        self.decisions = Decisions(lookups)
        self.commits = commits
        self.proxies = settings.proxy_networks
        self.wait_for_disk = settings.receipt == "disk"
        self.draining = False
        """Set once the process is to stop: connections are closed with their next answer."""
        self._operator = operator
        self._members = lookups.members
        self._ignored = {
            (kind, reason): metrics.IGNORED.labels(kind, reason) for kind in ("imp", "clk") for reason in Reason
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = PATHS.get(scope["path"])
        if kind is None:
            await self._operator(scope, receive, send)
            return
        answer, reason = await self._record(await self._decide(_request(kind, scope, self.proxies)))
        headers = [*answer.headers, self.verdict(kind, reason)]
        if self.draining:
            headers.append(answers.CLOSE)
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else answer.body})

    def verdict(self, kind: Kind, reason: Reason | None) -> Header:
        """The `X-OneByOne` of an answer that is about to be given; what was not counted is counted as such."""
        if reason is None:
            return answers.RECORDED
        self._ignored[kind, reason].inc()
        return answers.IGNORED[reason]

    async def _decide(self, request: Request) -> Decision:
        found: Found = {}
        while True:
            try:
                return self.decisions.decide(request, found)
            except Cold as cold:
                try:
                    found[cold.lookup, cold.record_id] = await cold.lookup.find(cold.record_id)
                except ConfigurationUnavailable:
                    if cold.lookup is not self._members:
                        return self.decisions.without_configuration(request)
                    # Nobody says that the `redir` is approved; the tracker is known and its event counts.
                    found[cold.lookup, cold.record_id] = None

    async def _record(self, decision: Decision) -> tuple[Answer, Reason | None]:
        if decision.line is None or decision.lost is None:
            return decision.answer, decision.reason
        recorded = self.commits.submit(decision.line)
        if recorded is None:
            return decision.lost, Reason.OVERLOAD
        if self.wait_for_disk and not await recorded:
            return decision.lost, Reason.JOURNAL
        return decision.answer, None


def _request(kind: Kind, scope: Scope, proxies: tuple[Network, ...]) -> Request:
    peer = scope["client"][0] if scope["client"] else ""
    address = visitor.client_address(peer, scope["headers"], proxies)
    headers = {name: value for name, value in scope["headers"] if name in HEADERS}
    return Request(kind, scope["method"], scope["query_string"], headers, address)
