"""The recorder counts each outcome once, where it is known; rendering a response counts nothing."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from prometheus_client import REGISTRY
from uvicorn.server import ServerState

from onebyone.edge.configuration.cache import ConfigCache, Tracker
from onebyone.edge.fastpath.response_cache import ResponseCache
from onebyone.edge.journal.group_commit import GroupCommit, Waiter
from onebyone.edge.recorder import Recorder
from onebyone.edge.tags import client, query
from onebyone.edge.tags.decision import CacheMiss, Decision
from onebyone.edge.tags.reasons import Reason
from onebyone.settings import Settings
from tests.edge.edge_process import tracker

BROWSER = client.parse_client({b"user-agent": b"Probe/1.0"})


class FakeCommits:
    """A group commit that keeps what is submitted."""

    def __init__(self) -> None:
        self.groups: list[list[bytes]] = []

    def submit(self, group: list[bytes], waiter: Waiter | None, gathered: bool = False) -> bool:
        self.groups.append(group)
        return True


@pytest.fixture
def commits() -> FakeCommits:
    return FakeCommits()


@pytest.fixture
def recorder(commits: FakeCommits) -> Recorder:
    lookups = ConfigCache(cast(Any, None), 4, None)
    lookups.impressions.store(531, Tracker.decode(tracker("imp", 531).encode()))
    lookups.impressions.store(532, Tracker.decode(tracker("imp", 532, active=False).encode()))
    return Recorder(Settings(), lookups, cast(GroupCommit, commits), asyncio.Event())


def ignored(reason: Reason) -> float:
    """Return how many impressions this process has ignored for this reason."""
    labels = {"kind": "imp", "reason": str(reason)}
    return REGISTRY.get_sample_value("onebyone_edge_ignored_total", labels) or 0.0


def decide(recorder: Recorder, raw: bytes) -> tuple[Decision, bytes | None]:
    return recorder.decide("imp", query.parse_tag(raw), BROWSER, b"", b"")


def test_a_request_without_a_tracker_is_counted_when_it_is_decided(recorder: Recorder) -> None:
    before = ignored(Reason.BAD_ID)
    decision, event = decide(recorder, b"id=x")
    assert (decision.reason, event, ignored(Reason.BAD_ID) - before) == (Reason.BAD_ID, None, 1)


def test_a_kept_request_is_counted_once_its_event_is_on_disk(recorder: Recorder) -> None:
    before = ignored(Reason.INACTIVE)
    decision, event = decide(recorder, b"id=532")
    assert (decision.reason, event is None, ignored(Reason.INACTIVE) - before) == (Reason.INACTIVE, False, 0)
    recorder.count_kept(decision)
    assert ignored(Reason.INACTIVE) - before == 1


@pytest.mark.parametrize("reason", [Reason.OVERLOAD, Reason.JOURNAL])
def test_a_kept_request_that_is_refused_says_so_like_a_recorded_one(recorder: Recorder, reason: Reason) -> None:
    decision, _ = decide(recorder, b"id=532")
    refused = recorder.refuse(decision, reason)
    assert (refused.reason, refused.response.status) == (reason, 503)


def test_a_recorded_request_is_not_counted_as_ignored(recorder: Recorder) -> None:
    before = [ignored(reason) for reason in Reason]
    decision, event = decide(recorder, b"id=531&cachebuster=1")
    assert (decision.reason, event is None) == (None, False)
    assert [ignored(reason) for reason in Reason] == before


def test_a_tracker_that_is_not_in_memory_is_not_counted_until_it_is_decided(recorder: Recorder) -> None:
    before = [ignored(reason) for reason in Reason]
    with pytest.raises(CacheMiss):
        decide(recorder, b"id=533")
    assert [ignored(reason) for reason in Reason] == before


def test_a_request_without_configuration_is_counted(recorder: Recorder) -> None:
    before = ignored(Reason.CONFIG)
    decision = recorder.decide_without_configuration("imp", query.parse_tag(b"id=533"), BROWSER)
    assert (decision.reason, ignored(Reason.CONFIG) - before) == (Reason.CONFIG, 1)


@pytest.mark.parametrize("reason", [Reason.OVERLOAD, Reason.JOURNAL])
def test_a_refused_event_is_counted(recorder: Recorder, reason: Reason) -> None:
    decision, _ = decide(recorder, b"id=531")
    before = ignored(reason)
    refused = recorder.refuse(decision, reason)
    assert (refused.reason, refused.response.status, ignored(reason) - before) == (reason, 503, 1)


def test_rendering_counts_nothing(recorder: Recorder) -> None:
    decision, _ = decide(recorder, b"id=532")
    before = ignored(Reason.INACTIVE)
    cache = ResponseCache(ServerState())
    responses = {cache.render(decision), *cache.render_all([decision, decision])}
    assert len(responses) == 1
    assert ignored(Reason.INACTIVE) == before


def test_events_are_submitted_with_consecutive_ids_under_one_head_line(
    recorder: Recorder, commits: FakeCommits
) -> None:
    for events in ([b"a", b"b"], [b"c"]):
        assert recorder.submit(events, None)
    heads = [group[0] for group in commits.groups]
    first, second = (int(head.split(b",")[1]) for head in heads)
    assert second == first + 2
    assert [group[1:] for group in commits.groups] == [[b"a", b"b"], [b"c"]]
