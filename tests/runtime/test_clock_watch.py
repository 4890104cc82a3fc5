"""The watch over the clock of a process: it warns once, says so while it lasts, and stops nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from onebyone.contracts import keys
from onebyone.runtime import clock_watch
from onebyone.runtime.clock_skew import ClockReport
from onebyone.runtime.clock_watch import ClockWatch
from tests.support.valkey import ValkeyProcess
from tests.support.waiting import wait_until

DAY = 86_400.0


class MovedTime:
    """Stands in for the module `time`: a wall clock that is off, beside a steady one that is not."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def time(self) -> float:
        return time.time() + self.ahead

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)


@pytest.fixture
def moved(monkeypatch: pytest.MonkeyPatch) -> MovedTime:
    moved = MovedTime()
    monkeypatch.setattr(clock_watch, "time", moved)
    monkeypatch.setattr(clock_watch, "TICK_SECONDS", 0.02)
    monkeypatch.setattr(clock_watch, "COMPARE_SECONDS", 0.05)
    return moved


@pytest.fixture
def looks() -> list[tuple[float | None, int]]:
    return []


@pytest.fixture
def watch(
    moved: MovedTime, shared_valkey: ValkeyProcess, looks: list[tuple[float | None, int]]
) -> Iterator[ClockWatch]:
    watch = ClockWatch("edge", shared_valkey.url, 2.0, lambda skew, jumps: looks.append((skew, jumps)))
    yield watch
    watch.stop()


@pytest.mark.parametrize(("ahead", "words"), [(DAY, "86400.0 s fast"), (-40 * DAY, "3456000.0 s slow")])
def test_a_clock_that_is_off_from_the_start(watch: ClockWatch, moved: MovedTime, ahead: float, words: str) -> None:
    moved.ahead = ahead
    watch._difference += ahead
    with capture_logs() as lines:
        watch.start()
        wait_until(
            lambda: watch.problem().startswith(f"the clock of this machine is {words} compared with "), "it is off"
        )
        assert watch.skew == pytest.approx(ahead, abs=2)
        time.sleep(0.3)
        assert [line["event"] for line in lines] == ["clocks are apart"], "one line, however often it is compared"
        moved.ahead = 0.0
        wait_until(lambda: watch.skew == 0.0, "it is right again")
        wait_until(lambda: lines[-1]["event"] == "clocks agree again", "that is logged")
    assert "is off" not in watch.problem()


@pytest.mark.parametrize("jump", [3600.0, -3600.0, 3.0])
def test_a_clock_that_jumps(
    watch: ClockWatch, moved: MovedTime, looks: list[tuple[float | None, int]], jump: float
) -> None:
    watch.start()
    wait_until(lambda: watch.skew is not None, "it was compared")
    assert watch.problem() == ""
    with capture_logs() as lines:
        moved.ahead = jump
        wait_until(lambda: f"jumped by {jump:+.1f} s" in watch.problem(), "the jump is noticed")
        wait_until(lambda: watch.problem().startswith("the clock of this machine is "), "and compared again")
    assert sum(jumps for _, jumps in looks) == 1
    assert "the clock of this machine jumped: events get the times that it shows" in [line["event"] for line in lines]


def test_a_clock_that_trembles_below_the_limit(watch: ClockWatch, moved: MovedTime) -> None:
    watch.start()
    for ahead in (1.5, 0.0, -0.4, 1.0):
        moved.ahead = ahead
        time.sleep(0.1)
    assert watch.problem() == ""


def test_the_clock_of_the_server_is_off(watch: ClockWatch, moved: MovedTime, shared_valkey: ValkeyProcess) -> None:
    moved.ahead = DAY
    watch._difference += DAY
    with shared_valkey.client() as client:
        for host in ("b", "c"):
            client.hset(keys.CLOCKS, f"edge@{host}/1", ClockReport("", DAY, time.time()).encode())
    watch.start()
    expected = "the clock of the stream server is 86400.0 s slow compared with those of edges and counter"
    wait_until(lambda: watch.problem() == expected, "the server is named")
    assert watch.skew == pytest.approx(0, abs=2)


def test_a_clock_that_most_others_contradict(watch: ClockWatch, shared_valkey: ValkeyProcess) -> None:
    with shared_valkey.client() as client:
        client.hset(keys.CLOCKS, "edge@old/1", ClockReport("", DAY, time.time() - 3600).encode())
        client.hset(keys.CLOCKS, "edge@odd/1", "rubbish")
        for host in ("b", "c", "d"):
            client.hset(keys.CLOCKS, f"edge@{host}/1", ClockReport("", 60.0, time.time()).encode())
        watch.start()
        wait_until(lambda: "60.0 s slow compared with those of other edges" in watch.problem(), "the others are heard")
        wait_until(lambda: not client.hexists(keys.CLOCKS, "edge@old/1"), "a report of an ended process is removed")
        assert client.hlen(keys.CLOCKS) == 5


def test_a_report_ends_with_its_process(moved: MovedTime, shared_valkey: ValkeyProcess) -> None:
    watch = ClockWatch("counter", shared_valkey.url, 2.0)
    watch.start()
    with shared_valkey.client() as client:
        wait_until(lambda: client.hlen(keys.CLOCKS) == 1, "reported")
        watch.stop()
        assert client.hlen(keys.CLOCKS) == 0


def test_a_server_that_is_away_is_no_problem_of_the_clock(moved: MovedTime, tmp_path: Any) -> None:
    watch = ClockWatch("edge", f"unix://{tmp_path}/none", 2.0)
    watch.start()
    time.sleep(0.2)
    assert (watch.skew, watch.problem()) == (None, "")
    watch.stop()
