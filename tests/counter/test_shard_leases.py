"""Each shard has one owner: an even share each, taken from those that are silent, not from those that are slow."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import redis.asyncio
from sqlalchemy import text, update

from onebyone.counter import shard_leases
from onebyone.counter.classification.list_folder import ListFolder
from onebyone.counter.classification.list_watch import ListWatch
from onebyone.counter.counter_marks import CounterMark
from onebyone.counter.counting import BatchTotals
from onebyone.counter.ledger import LeaseLost, Ledger
from onebyone.counter.outages import Outages
from onebyone.counter.producer_clocks import ProducerClocks
from onebyone.counter.proxy_retries import ProxyRetries
from onebyone.counter.shard import Shard
from onebyone.counter.shard_leases import ShardLeases, even_share
from onebyone.report_store import tables
from onebyone.runtime import sql
from tests.counter.harness import Harness
from tests.support.waiting import eventually

pytestmark = pytest.mark.anyio


class Clock:
    """The monotonic clock of all leases in a test."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        """Return the time."""
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A clock that only the test moves."""
    clock = Clock()
    monkeypatch.setattr(shard_leases, "time", clock)
    return clock


def counter(harness: Harness, name: str) -> ShardLeases:
    """Return the leases of a counter of 4 shards that has not joined yet."""
    return ShardLeases(harness.engine, asyncio.Semaphore(1), 4, name * 16)


async def pass_time(clock: Clock, seconds: int, *looking: ShardLeases) -> None:
    """Let seconds pass, in each of which these counters look, and give back what is wanted back."""
    for _ in range(seconds):
        clock.now += 1.0
        for leases in looking:
            await leases.look()
            for lease in leases.leases:
                if lease.wanted_back:
                    await lease.give_back()


@pytest.mark.parametrize(
    ("staying", "shards", "shares"),
    [("a", 4, [4]), ("ab", 4, [2, 2]), ("abc", 4, [2, 1, 1]), ("abcde", 4, [1, 1, 1, 1, 0]), ("abc", 1, [1, 0, 0])],
)
def test_shares_are_even_and_complete(staying: str, shards: int, shares: list[int]) -> None:
    assert [even_share(name, [*staying], shards) for name in staying] == shares


async def test_a_lone_counter_owns_everything_immediately(each_harness: Harness, clock: Clock) -> None:
    alone = counter(each_harness, "a")
    await alone.join()
    assert alone.held == [0, 1, 2, 3]
    assert not alone.has_company


async def test_a_lone_counter_hardly_writes(each_harness: Harness, clock: Clock) -> None:
    alone = counter(each_harness, "a")
    await alone.join()
    before = await each_harness.rows(tables.counters)
    await pass_time(clock, 9, alone)
    assert await each_harness.rows(tables.counters) == before
    await pass_time(clock, 1, alone)
    assert (await each_harness.rows(tables.counters))[0].beat == before[0].beat + 1


@pytest.mark.parametrize("joining", [1, 2, 3, 4])
async def test_shards_are_shared_with_those_who_join_and_leave(
    each_harness: Harness, clock: Clock, joining: int
) -> None:
    running = [counter(each_harness, name) for name in "abcde"[: joining + 1]]
    for leases in running:
        await leases.join()
    await pass_time(clock, 3, *running)
    owned = sorted(shard for leases in running for shard in leases.held)
    assert owned == [0, 1, 2, 3]
    sizes = [len(leases.held) for leases in running]
    assert max(sizes) - min(sizes) <= 1
    settled = [leases.held for leases in running]
    await pass_time(clock, 10, *running)
    assert [leases.held for leases in running] == settled, "nothing moves without a reason"
    for leases in running[1:]:
        await leases.leave()
    await pass_time(clock, 1, running[0])
    assert running[0].held == [0, 1, 2, 3], "what a clean stop frees is claimed by the next look"


async def test_the_shards_of_a_dead_counter_move_within_ten_seconds(each_harness: Harness, clock: Clock) -> None:
    survivor, dead = counter(each_harness, "a"), counter(each_harness, "b")
    await survivor.join()
    await dead.join()
    await pass_time(clock, 3, survivor, dead)
    assert len(dead.held) == 2
    await pass_time(clock, 4, survivor)
    assert len(survivor.held) == 2, "not before it has been silent long enough"
    await pass_time(clock, 3, survivor)
    assert survivor.held == [0, 1, 2, 3]
    assert [row.counter for row in await each_harness.rows(tables.counters)] == ["a" * 16]


async def test_a_counter_that_was_stopped_cannot_commit_and_gets_its_share_again(
    each_harness: Harness, clock: Clock
) -> None:
    zombie, other = counter(each_harness, "a"), counter(each_harness, "b")
    await zombie.join()
    ledgers = [Ledger(each_harness.engine, shard, zombie.counter) for shard in zombie.held]
    for ledger in ledgers:
        await ledger.load()
    await other.join()
    await pass_time(clock, 7, other)
    assert other.held == [0, 1, 2, 3]
    assert not zombie.is_fresh(), "it knows by its own clock that it may be too late"
    for shard, ledger in enumerate(ledgers):
        totals = BatchTotals(shard)
        totals.position = (9, 9)
        with pytest.raises(LeaseLost):
            await ledger.commit(totals, "")
        with pytest.raises(LeaseLost):
            await ledger.load()
    assert {row.stream_ms for row in await each_harness.rows(tables.positions)} == {0}
    await pass_time(clock, 4, zombie, other)
    assert len(zombie.held) == len(other.held) == 2


async def test_a_pause_of_the_observer_is_no_silence_of_the_others(each_harness: Harness, clock: Clock) -> None:
    one, two = counter(each_harness, "a"), counter(each_harness, "b")
    await one.join()
    await two.join()
    await pass_time(clock, 3, one, two)
    clock.now += 3600.0
    await one.look()
    assert len(one.held) == 2, "the store or this process stood still, and so did the other one's beats"
    await pass_time(clock, 3, one, two)
    assert len(one.held) == len(two.held) == 2


async def test_a_beat_that_comes_back_at_the_last_moment_keeps_the_leases(
    each_harness: Harness, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = counter(each_harness, "a"), counter(each_harness, "b")
    await one.join()
    await two.join()
    await pass_time(clock, 3, one, two)
    await pass_time(clock, 4, one)
    take = ShardLeases._take

    async def beat_first(self: ShardLeases, *values: object) -> None:
        async with sql.writing(each_harness.engine) as connection:
            beat = update(tables.counters).where(tables.counters.c.counter == two.counter)
            await connection.execute(beat.values(beat=tables.counters.c.beat + 1))
        await take(self, *values)  # type: ignore[arg-type]

    monkeypatch.setattr(ShardLeases, "_take", beat_first)
    await pass_time(clock, 2, one)
    assert len(one.held) == 2
    assert len(await each_harness.rows(tables.counters)) == 2


async def test_a_counter_that_was_declared_dead_joins_again(each_harness: Harness, clock: Clock) -> None:
    one = counter(each_harness, "a")
    await one.join()
    async with sql.writing(each_harness.engine) as connection:
        await connection.execute(text("DELETE FROM counters"))
        await connection.execute(text("UPDATE positions SET owner = ''"))
    await pass_time(clock, 2, one)
    assert one.held == [0, 1, 2, 3]
    assert len(await each_harness.rows(tables.counters)) == 1


@pytest.mark.parametrize("beats", [0, 1, 12, 25])
async def test_a_counter_that_was_removed_is_not_removed_again(each_harness: Harness, clock: Clock, beats: int) -> None:
    stopped, first, second = (counter(each_harness, name) for name in "abc")
    await stopped.join()
    await pass_time(clock, beats, stopped)
    await first.join()
    await second.join()
    while len(await each_harness.rows(tables.counters)) == 3:
        await pass_time(clock, 1, first, second)
    # It enters again before the others have noticed that it is gone.
    for _ in range(6):
        await pass_time(clock, 1, stopped, second, first)
        assert len(await each_harness.rows(tables.counters)) == 3
    assert sorted(len(leases.held) for leases in (stopped, first, second)) == [1, 1, 2]


async def test_a_lease_of_a_counter_without_a_row_is_free(each_harness: Harness, clock: Clock) -> None:
    one = counter(each_harness, "a")
    await one.join()
    async with sql.writing(each_harness.engine) as connection:
        await connection.execute(text("UPDATE positions SET owner = 'restored'"))
    await pass_time(clock, 1, one)
    assert one.held == [0, 1, 2, 3]


async def test_the_successor_of_a_killed_counter_does_not_wait(
    each_harness: Harness, clock: Clock, tmp_path: Path
) -> None:
    (tmp_path / "run").mkdir()
    killed = counter(each_harness, "a")
    await killed.join()
    (tmp_path / "run" / "counters").mkdir()
    (tmp_path / "run" / "counters" / killed.counter).touch()
    successor = counter(each_harness, "b")
    with CounterMark(tmp_path, successor.counter) as mark:
        await successor.join(mark.ended)
    assert successor.held == [0, 1, 2, 3]
    assert list((tmp_path / "run" / "counters").iterdir()) == []


def test_the_mark_of_a_running_counter_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with CounterMark(tmp_path, "a" * 16), CounterMark(tmp_path, "b" * 16) as second:
        assert second.ended == []


def test_without_a_data_folder_there_are_no_marks(tmp_path: Path) -> None:
    with CounterMark(tmp_path, "a" * 16) as mark:
        assert mark.ended == []
    assert list(tmp_path.iterdir()) == []


async def test_an_outage_of_a_shard_ends_here_when_another_counter_has_it(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    leases, outages, stopping = counter(harness, "a"), Outages(), asyncio.Event()
    shard = Shard(
        leases.leases[0],
        redis.asyncio.Redis(),
        harness.engine,
        outages,
        asyncio.Semaphore(1),
        stopping,
        ProducerClocks(2),
        ProxyRetries(),
        ListWatch(ListFolder(tmp_path, 45)),
    )
    ongoing = []

    async def fail() -> bool:
        ongoing.append(outages.ongoing("stream"))
        if len(ongoing) == 3:
            raise LeaseLost
        raise redis.ConnectionError

    monkeypatch.setattr(shard, "_round", fail)
    shard.lease.held.set()
    running = asyncio.create_task(shard.run())
    await eventually(lambda: len(ongoing) == 3 and not outages.ongoing("stream"), "the outage is over")
    assert ongoing == [False, True, True]
    stopping.set()
    await running
