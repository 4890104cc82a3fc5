"""Watches the clock of this process: against the stream server's, those of other hosts, and its own steady course.

An event is counted into the hour that the clock of its edge shows, so a clock that is off puts events into wrong hours.
The watch warns, once when a clock begins to be off and once when it is right again, and stops nothing.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable
from typing import Any, cast

import structlog

from onebyone.contracts import keys
from onebyone.runtime.clock_skew import (
    FRESH_SECONDS,
    ClockReport,
    decode_reports,
    in_words,
    offset_seconds,
    offsets_by_host,
    skew_seconds,
)
from onebyone.runtime.redis_client import Unavailable, connect_blocking

TICK_SECONDS = 1.0
"""How often the wall clock is compared with the steady one: a jump is noticed within this."""
COMPARE_SECONDS = 5.0
"""How often the clock is compared with the others': three cheap commands, and soon enough for an hour of events."""
REPLY_SECONDS = 1.0
"""How long to wait for a reply: a slower one would say little about clocks, and the end of the process waits for it."""
JUMP_SHOWN_SECONDS = 600.0
"""How long a jump is shown as a problem: longer than any monitoring looks away."""
JUMP_LOG_SECONDS = 60.0
"""The least time between two log lines about jumps: a clock that trembles would fill the log."""

_log = structlog.get_logger()


def steady_seconds() -> float:
    """Return a clock that nobody sets, and that also counts while the machine is suspended, where there is one."""
    boot_time = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if boot_time is None else time.clock_gettime(boot_time)


class ClockWatch:
    """Watch on a thread until `stop`. The results may be read on any thread."""

    def __init__(
        self, role: str, url: str, limit_seconds: float, on_look: Callable[[float | None, int], None] = lambda *_: None
    ) -> None:
        """Compare with the stream server at `url`, and warn of more than `limit_seconds`.

        `on_look(skew, jumps)` takes the skew, None if it is not known, and the jumps since it was last called.
        """
        self._name = f"{role}@{socket.gethostname()}/{os.getpid()}"
        self._limit = limit_seconds
        self._on_look = on_look
        self._client: Any = connect_blocking(url, reply_seconds=REPLY_SECONDS)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="clock watch", daemon=True)
        self._compared_at = float("-inf")
        self._difference = time.time() - steady_seconds()
        self._jump = 0.0
        self._jumped_at = float("-inf")
        self._jump_logged_at = float("-inf")
        self._off = ""
        self.skew: float | None = None
        """Seconds by which this clock is ahead of what most clocks show; None: not known."""

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread. Blocks for as long as one reply of the stream server may take."""
        self._stopping.set()
        self._thread.join()

    def problem(self) -> str:
        """Return what is wrong with the clocks, in words; empty if nothing is."""
        jumped = steady_seconds() - self._jumped_at
        words = [self._off] if self._off else []
        if jumped < JUMP_SHOWN_SECONDS:
            words.append(f"the clock of this machine jumped by {self._jump:+.1f} s, {jumped:.0f} s ago")
        return "; ".join(words)

    def _run(self) -> None:
        while True:
            jumps = self._note_jump()
            steady = steady_seconds()
            if jumps or steady - self._compared_at >= COMPARE_SECONDS:
                self._compared_at = steady
                try:
                    self._compare()
                except Unavailable:
                    # The shipper or the counter logs that it is away.
                    self.skew = None
            self._on_look(self.skew, jumps)
            if self._stopping.wait(TICK_SECONDS):
                break
        if self.skew is not None:
            # If that fails, the report goes out of date by itself.
            with contextlib.suppress(*Unavailable):
                self._client.hdel(keys.CLOCKS, self._name)
        self._client.close()

    def _note_jump(self) -> int:
        """Return 1 if the wall clock was set since the last call, else 0."""
        difference = time.time() - steady_seconds()
        jump, self._difference = difference - self._difference, difference
        if abs(jump) <= self._limit:
            return 0
        self._jump, self._jumped_at = jump, steady_seconds()
        if self._jumped_at - self._jump_logged_at >= JUMP_LOG_SECONDS:
            self._jump_logged_at = self._jumped_at
            _log.warning("the clock of this machine jumped: events get the times that it shows", seconds=round(jump, 3))
        return 1

    def _compare(self) -> None:
        before = time.time()
        seconds, micros = self._client.time()
        after, there = time.time(), seconds + micros / 1e6
        mine = ClockReport(self._name, offset_seconds(before, there, after), there)
        pipe = self._client.pipeline(transaction=False)
        pipe.hgetall(keys.CLOCKS)
        # Last, because a server whose memory is full refuses it.
        pipe.hset(keys.CLOCKS, mine.name, mine.encode())
        fields = cast("dict[bytes, bytes] | Exception", pipe.execute(raise_on_error=False)[0])
        if isinstance(fields, Exception):
            raise fields
        reports = decode_reports(fields)
        if stale := [report.name for report in reports if abs(there - report.at) > FRESH_SECONDS]:
            self._client.hdel(keys.CLOCKS, *stale)
        others = offsets_by_host((report for report in reports if report.host != mine.host), there)
        self._judge(mine.offset, others)

    def _judge(self, offset: float, others: dict[str, float]) -> None:
        self.skew = skew = skew_seconds(offset, others.values())
        off = ""
        if abs(skew) > self._limit:
            whom = "the stream server's" if abs(offset) > self._limit else "those of other edges"
            off = f"the clock of this machine is {in_words(skew)} compared with {whom}: events go to wrong hours"
        elif abs(offset) > self._limit:
            off = f"the clock of the stream server is {in_words(-offset)} compared with those of edges and counter"
        if bool(off) != bool(self._off):
            if off:
                _log.warning("clocks are apart", problem=off, skew_seconds=round(skew, 3), limit=self._limit)
            else:
                _log.info("clocks agree again", skew_seconds=round(skew, 3))
        self._off = off
