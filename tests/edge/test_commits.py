"""Group commit: who waits for what, and what a refusal or a cancelled request does to the others."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from pathlib import Path
from typing import Any

import orjson
import pytest

from onebyone import batches
from onebyone.edge.commits import BATCH_EVENTS, QUICK_SYNCS, Commits
from onebyone.edge.journal import Journal

pytestmark = pytest.mark.anyio


class Slow(Journal):
    """A journal whose disk waits for the test, and may refuse."""

    gate: threading.Event
    fault: Exception | None = None

    def append(self, seq: int, events: int, payload: bytes) -> None:
        self.gate.wait(10)
        if self.fault is not None:
            raise self.fault
        super().append(seq, events, payload)


@pytest.fixture
def journal(tmp_path: Path) -> Slow:
    made = Slow.create(tmp_path, "00000000000000aa", 0)
    assert isinstance(made, Slow)
    made.gate = threading.Event()
    made.gate.set()
    return made


class Noted:
    """Calls of a `Commits`."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.failures: list[tuple[int, bool]] = []

    def commits(self, journal: Journal, limit: int = 10_000) -> Commits:
        return Commits(journal, limit, self.batches.append, lambda events, fatal: self.failures.append((events, fatal)))


def fault(code: int, name: str) -> sqlite3.OperationalError:
    error: Any = sqlite3.OperationalError(name)
    error.sqlite_errorcode = code
    error.sqlite_errorname = name
    return error  # type: ignore[no-any-return]


class Waiter:
    """Hears once whether its event is on disk."""

    def __init__(self) -> None:
        self.future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def settled(self, recorded: bool) -> None:
        self.future.set_result(recorded)


def group(*events: bytes) -> list[bytes]:
    """Events that belong together: of the same time, with ids from 1 on."""
    return [batches.head(1, 5), *(b'"cb":"%b"' % event for event in events)]


def written(journal: Journal) -> list[list[bytes]]:
    """What is in the journal, by batch."""
    return [[orjson.loads(line)["cb"].encode() for line in batches.unpack(row.payload)] for row in journal.after(0, 10)]


def submit(commits: Commits, line: bytes) -> asyncio.Future[bool]:
    waiter = Waiter()
    assert commits.add(group(line), waiter)
    return waiter.future


async def test_a_lone_event_is_a_batch_of_its_own(journal: Slow) -> None:
    noted = Noted()
    commits = noted.commits(journal)
    assert await submit(commits, b"a")
    assert await submit(commits, b"b")
    await commits.close()
    assert noted.batches == [1, 1]
    assert written(journal) == [[b"a"], [b"b"]]
    journal.close()


async def test_what_arrives_together_or_during_a_sync_shares_the_next_one(journal: Slow) -> None:
    noted = Noted()
    commits = noted.commits(journal)
    journal.gate.clear()
    first = [submit(commits, b"1") for _ in range(3)]
    await asyncio.sleep(0.05)
    second = [submit(commits, b"2") for _ in range(5)]
    assert not any(future.done() for future in first + second)
    journal.gate.set()
    assert all(await asyncio.gather(*first, *second))
    await commits.close()
    assert noted.batches == [3, 5]
    journal.close()


async def test_what_has_gathered_takes_along_what_still_gathers(journal: Slow) -> None:
    noted = Noted()
    commits = noted.commits(journal)
    single = submit(commits, b"1")
    turn = Waiter()
    assert commits.add(group(b"2", b"3"), turn, gathered=True)
    assert commits.add(group(b"4"), None, gathered=True)
    assert all(await asyncio.gather(single, turn.future))
    await commits.close()
    assert noted.batches == [3, 1]
    assert written(journal) == [[b"1", b"2", b"3"], [b"4"]]
    journal.close()


async def test_a_batch_has_a_limit_and_the_rest_follows_in_order(journal: Slow) -> None:
    noted = Noted()
    commits = noted.commits(journal)
    futures = [submit(commits, b"%d" % number) for number in range(BATCH_EVENTS * 2 + 1)]
    assert all(await asyncio.gather(*futures))
    await commits.close()
    assert noted.batches == [BATCH_EVENTS, BATCH_EVENTS, 1]
    events = [event for batch in written(journal) for event in batch]
    assert events == [b"%d" % number for number in range(BATCH_EVENTS * 2 + 1)]
    journal.close()


async def test_too_many_waiting_events_are_turned_away(journal: Slow) -> None:
    commits = Noted().commits(journal, limit=2)
    journal.gate.clear()
    submit(commits, b"on its way")
    await asyncio.sleep(0.05)
    assert [commits.add(group(b"x"), None) for _ in range(4)] == [True, True, False, False]
    journal.gate.set()
    await commits.close()
    journal.close()


async def test_a_request_that_went_away_disturbs_nobody(journal: Slow) -> None:
    commits = Noted().commits(journal)
    journal.gate.clear()
    futures = [submit(commits, b"x") for _ in range(3)]
    await asyncio.sleep(0.05)
    futures[1].cancel()
    journal.gate.set()
    assert await futures[0]
    assert await futures[2]
    await commits.close()
    assert journal.bounds() == (1, 1)
    journal.close()


async def test_a_full_disk_refuses_and_leaves_no_hole(journal: Slow) -> None:
    noted = Noted()
    commits = noted.commits(journal)
    journal.fault = fault(sqlite3.SQLITE_FULL, "SQLITE_FULL")
    assert await submit(commits, b"lost") is False
    journal.fault = None
    assert await submit(commits, b"kept") is True
    await commits.close()
    assert noted.failures == [(1, False)]
    assert journal.bounds() == (1, 1)
    journal.close()


async def test_after_a_failed_sync_nothing_is_believed(journal: Slow) -> None:
    noted = Noted()
    commits = noted.commits(journal)
    journal.fault = fault(sqlite3.SQLITE_IOERR_FSYNC, "SQLITE_IOERR_FSYNC")
    assert await submit(commits, b"a") is False
    journal.fault = None
    assert await submit(commits, b"b") is False
    await commits.close()
    assert noted.failures == [(1, True), (1, True)]
    assert journal.bounds() == (1, 0)
    journal.close()


@pytest.mark.parametrize(
    "error", [sqlite3.ProgrammingError("no code"), MemoryError()], ids=["no error code", "any other"]
)
async def test_whatever_is_raised_the_requests_are_answered(journal: Slow, error: Exception) -> None:
    noted = Noted()
    commits = noted.commits(journal)
    journal.fault = error
    assert await submit(commits, b"a") is False
    await commits.close()
    assert noted.failures == [(1, True)]
    journal.close()


async def thread_of_a_sync(journal: Slow, commits: Commits) -> str:
    found: list[str] = []
    append = journal.append

    def watched(seq: int, events: int, payload: bytes) -> None:
        found.append(threading.current_thread().name)
        append(seq, events, payload)

    journal.append = watched  # type: ignore[method-assign]
    assert await submit(commits, b"x")
    journal.append = append  # type: ignore[method-assign]
    return "thread" if found == ["journal"] else "loop"


async def test_a_quick_disk_is_written_to_on_the_loop_and_a_slow_one_is_not(
    journal: Slow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("onebyone.edge.commits.SLOW_SECONDS", 10.0)
    commits = Noted().commits(journal)
    assert await thread_of_a_sync(journal, commits) == "thread"
    for _ in range(QUICK_SYNCS):
        await submit(commits, b"x")
    assert await thread_of_a_sync(journal, commits) == "loop"
    monkeypatch.setattr("onebyone.edge.commits.SLOW_SECONDS", -1.0)
    await submit(commits, b"slow")
    for _ in range(QUICK_SYNCS):
        assert await thread_of_a_sync(journal, commits) == "thread"
    monkeypatch.setattr("onebyone.edge.commits.SLOW_SECONDS", 10.0)
    for _ in range(QUICK_SYNCS):
        await submit(commits, b"x")
    assert await thread_of_a_sync(journal, commits) == "loop"
    await commits.close()
    assert journal.bounds() == (1, 4 * QUICK_SYNCS + 4 - QUICK_SYNCS)
    journal.close()


async def on_a_quick_disk(journal: Slow, monkeypatch: pytest.MonkeyPatch) -> tuple[Noted, Commits]:
    """Commits that write on the loop, after `QUICK_SYNCS` + 1 batches."""
    monkeypatch.setattr("onebyone.edge.commits.SLOW_SECONDS", 10.0)
    noted = Noted()
    commits = noted.commits(journal)
    for _ in range(QUICK_SYNCS + 1):
        assert await submit(commits, b"x")
    return noted, commits


async def test_a_refusal_on_the_loop_is_a_refusal(journal: Slow, monkeypatch: pytest.MonkeyPatch) -> None:
    noted, commits = await on_a_quick_disk(journal, monkeypatch)
    journal.fault = fault(sqlite3.SQLITE_FULL, "SQLITE_FULL")
    assert await submit(commits, b"lost") is False
    journal.fault = None
    assert await submit(commits, b"kept") is True
    await commits.close()
    assert noted.failures == [(1, False)]
    assert journal.bounds() == (1, QUICK_SYNCS + 2)
    journal.close()


async def test_requests_that_come_one_after_the_other_gather(journal: Slow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onebyone.edge.commits.GATHER_SECONDS", 1.0)
    noted = Noted()
    commits = noted.commits(journal)
    assert await submit(commits, b"the first goes at once")
    second = submit(commits, b"x")
    await asyncio.sleep(0.05)
    assert all(await asyncio.gather(second, submit(commits, b"y")))
    await commits.close()
    assert noted.batches == [1, 2]
    journal.close()


async def test_a_group_is_never_split_and_may_be_a_batch_of_its_own(journal: Slow) -> None:
    noted = Noted()
    commits = noted.commits(journal)
    waiters = [Waiter(), Waiter(), Waiter()]
    for waiter, many in zip(waiters, (2, BATCH_EVENTS + 1, 3), strict=True):
        assert commits.add(group(*[b"x"] * many), waiter)
    assert all(await asyncio.gather(*(waiter.future for waiter in waiters)))
    await commits.close()
    assert noted.batches == [2, BATCH_EVENTS + 1, 3]
    assert [row.events for row in journal.after(0, 10)] == noted.batches
    journal.close()


async def test_groups_share_a_batch_and_keep_their_ids_and_times(journal: Slow) -> None:
    noted = Noted()
    commits = noted.commits(journal, limit=6)
    journal.gate.clear()
    sent = [submit(commits, b"first")]
    await asyncio.sleep(0.05)
    waiters = [Waiter(), Waiter(), Waiter()]
    heads = [batches.head(10, 5), batches.head(20, 6), batches.head(30, 7)]
    added = [commits.add([head, *[b'"cb":"x"'] * 3], waiter) for head, waiter in zip(heads, waiters, strict=True)]
    assert added == [True, True, False], "events are counted, not lines"
    journal.gate.set()
    assert all(await asyncio.gather(*sent, *(waiter.future for waiter in waiters[:2])))
    await commits.close()
    assert noted.batches == [1, 6]
    _, row = journal.after(0, 10)
    told = [(event["id"], event["ts"]) for event in map(orjson.loads, batches.unpack(row.payload))]
    assert told == [(10, 5), (11, 5), (12, 5), (20, 6), (21, 6), (22, 6)]
    journal.close()


async def test_what_has_gathered_goes_to_a_quick_disk_at_once(journal: Slow, monkeypatch: pytest.MonkeyPatch) -> None:
    noted, commits = await on_a_quick_disk(journal, monkeypatch)
    before = list(noted.batches)
    waiter = Waiter()
    assert commits.add(group(b"y", b"z"), waiter, gathered=True)
    assert noted.batches == [*before, 2]
    assert waiter.future.result()
    await commits.close()
    journal.close()
