"""Decides tag requests and records their events: what the fast path and the ASGI application have in common.

A request is decided first (`decide`). If its tracker is known, its event goes to the journal (`submit`), also one that
is kept uncounted, and the answer may be sent once the group commit reports that the event is on disk. If the journal
does not take the event, `refuse` returns what to answer instead.
"""

from __future__ import annotations

import asyncio
from typing import get_args

from onebyone.contracts.events import Kind
from onebyone.edge import metrics
from onebyone.edge.configuration.cache import ConfigCache
from onebyone.edge.journal.event_ids import IdAllocator
from onebyone.edge.journal.group_commit import GroupCommit, Waiter
from onebyone.edge.tags.client import Client
from onebyone.edge.tags.decision import NOTHING_FETCHED, Decision, Decisions, EventLine, FetchedRecords
from onebyone.edge.tags.flags import Flag
from onebyone.edge.tags.proxy_retries import ProxyRetries, Sighting
from onebyone.edge.tags.query import Tag
from onebyone.edge.tags.reasons import Reason
from onebyone.edge.untracked import UntrackedSums
from onebyone.runtime.trusted_proxies import TrustedProxies
from onebyone.settings import Settings


class Recorder:
    """The decisions, event ids, group commit and outcome metrics of one edge process; belongs to the loop's thread."""

    def __init__(self, settings: Settings, cache: ConfigCache, commits: GroupCommit, draining: asyncio.Event) -> None:
        """Set `draining` once the process is to stop: every response then closes its connection."""
        self.decisions = Decisions(cache)
        self.commits = commits
        self.draining = draining
        self.trusted_proxies = TrustedProxies(settings)
        self.retries = ProxyRetries()
        self.wait_for_disk = settings.receipt == "disk"
        self.untracked = UntrackedSums(self.submit)
        self._ids = IdAllocator()
        self._ignored = {
            (kind, reason): metrics.IGNORED.labels(kind, reason) for kind in get_args(Kind) for reason in Reason
        }

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
        """Return what `Decisions.decide` returns; count a request without an event. Raise `CacheMiss` as it does."""
        decision, event = self.decisions.decide(kind, tag, sender, referrer, network, method, fetched)
        if event is None and decision.reason is not None:
            self.count_untracked(kind, decision.reason)
        return decision, event

    def decide_proxied(
        self,
        sighting: Sighting,
        kind: Kind,
        tag: Tag,
        sender: Client,
        referrer: bytes,
        network: bytes,
        method: str = "GET",
        fetched: FetchedRecords = NOTHING_FETCHED,
    ) -> tuple[Decision, EventLine | None]:
        """Return what `decide` returns for a request of which a trusted proxy says something; flag a retry."""
        if sighting.retried:
            tag = tag._replace(flags=(Flag.PROXY_RETRY, *tag.flags))
        decision, event = self.decide(kind, tag, sender, referrer, network, method, fetched)
        if event is None:
            return decision, None
        self.retries.remember(sighting)
        if sighting.retried:
            metrics.PROXY_RETRIES.inc()
        return decision, event + sighting.member

    def decide_without_configuration(self, kind: Kind, tag: Tag, sender: Client) -> Decision:
        """Return the decision for a request whose tracker cannot be looked up, and count the request as ignored."""
        self.count_untracked(kind, Reason.CONFIG)
        return self.decisions.without_configuration(kind, tag, sender)

    def decide_bad_path(self, kind: Kind, tag: Tag, sender: Client) -> Decision:
        """Return the decision for a path that is only similar to that of a tag, and count the request as ignored."""
        self.count_untracked(kind, Reason.BAD_PATH)
        return self.decisions.bad_path(kind, tag, sender)

    def decide_malformed(self, kind: Kind, tag: Tag, status: int) -> Decision:
        """Return the decision for a malformed request to a tag, and count the request as ignored."""
        self.count_untracked(kind, Reason.BAD_REQUEST)
        return self.decisions.bad_request(kind, tag, status)

    def count_untracked(self, kind: Kind, reason: Reason) -> None:
        """Count a request that reached no tracker, in the metric and in the sums of `untracked`."""
        self._ignored[kind, reason].inc()
        self.untracked.add(kind, reason)

    def count_kept(self, decision: Decision) -> None:
        """Count a request whose event is on disk, but kept uncounted."""
        if decision.reason is not None:
            self._ignored[decision.kind, decision.reason].inc()

    def submit(self, events: list[EventLine], waiter: Waiter | None, gathered: bool = False) -> bool:
        """Give the events their ids and queue them as one group (`GroupCommit.submit`).

        Return False when too many events are pending; the caller then has to `refuse` their decisions.
        """
        return self.commits.submit([self._ids.head_line(len(events)), *events], waiter, gathered)

    def refuse(self, decision: Decision, reason: Reason) -> Decision:
        """Return the decision for a request whose event could not be recorded, and count the request as ignored."""
        self._ignored[decision.kind, reason].inc()
        return decision.unrecorded(reason)
