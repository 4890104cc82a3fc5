"""Keeps one process running: starts it again when it dies, ever slower when it dies young, and stops it in bounds."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from abc import ABC, abstractmethod

from onebyone.runtime.role import REFUSED
from onebyone.supervisor import report
from onebyone.supervisor.fault import StartFault
from onebyone.supervisor.process import Process

YOUNG_SECONDS = 5.0
"""A process that dies within this long of its start is started again with a delay."""
FIRST_DELAY = 0.1
LONGEST_DELAY = 10.0


class Keeper(ABC):
    """A process that must run. `refused` is set when it cannot start as configured and has said why."""

    once = False
    """True: it may end by itself and is then not started again."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.ready = asyncio.Event()
        self.refused = asyncio.Event()
        self._process: Process | None = None
        self._keeping: asyncio.Task[None] | None = None

    @abstractmethod
    async def launch(self) -> Process:
        """Starts the process, sets `ready` once it is. Raises `StartFault` or OSError and leaves none behind."""

    @abstractmethod
    def buried(self, process: Process) -> None:
        """Called after each end of the process."""

    async def begin(self) -> None:
        """The first start, whose faults are raised; from then on it is kept running."""
        started = time.monotonic()
        try:
            self._process = await self.launch()
        except OSError as error:
            raise StartFault(f"{self.name} cannot start: {error}") from None
        self._keeping = asyncio.create_task(self._keep(started))

    async def _keep(self, started: float) -> None:
        delay = 0.0
        while True:
            if self._process is not None:
                await self._process.ended.wait()
                self.buried(self._process)
                if self._is_final(self._process):
                    return
            delay = next_delay(delay, time.monotonic() - started)
            if self._process is not None:
                report.error(
                    "process died", process=self.name, pid=self._process.pid, how=self._process.end, restart_in=delay
                )
            await asyncio.sleep(delay)
            started = time.monotonic()
            try:
                self._process = None
                self._process = await self.launch()
            except (StartFault, OSError) as fault:
                self._process = None
                report.error("process cannot start", process=self.name, reason=str(fault))
            else:
                report.warning("process restarted", process=self.name, pid=self._process.pid)

    def _is_final(self, process: Process) -> bool:
        if process.exit_code == REFUSED and not self.ready.is_set():
            self.refused.set()
            return True
        if self.once and process.exit_code != 0:
            report.error("process died", process=self.name, pid=process.pid, how=process.end)
        return self.once

    async def stop(
        self,
        seconds: float,
        hurry: asyncio.Event,
        hurry_seconds: float = 0.0,
        gently: signal.Signals = signal.SIGTERM,
    ) -> bool:
        """`gently`, then SIGKILL after `seconds`, or `hurry_seconds` after `hurry`. True: it ended by itself."""
        if self._keeping is not None:
            self._keeping.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeping
        process = self._process
        if process is None or process.ended.is_set():
            return True
        process.signal(gently)
        hurrying = asyncio.create_task(hurry.wait())
        ended = asyncio.create_task(process.ended.wait())
        await asyncio.wait({hurrying, ended}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if hurrying.done():
            await asyncio.wait({ended}, timeout=hurry_seconds)
        hurrying.cancel()
        in_time = process.ended.is_set()
        if not in_time:
            process.signal(signal.SIGKILL)
            await process.ended.wait()
        ended.cancel()
        self.buried(process)
        clean = in_time and process.exit_code in (0, -gently)
        if not clean:
            report.error("process did not stop cleanly", process=self.name, pid=process.pid, how=process.end)
        return clean


def next_delay(last: float, lived: float) -> float:
    """Seconds to wait before the next start, after the last wait and how long the process then lived."""
    if lived >= YOUNG_SECONDS:
        return 0.0
    return min(LONGEST_DELAY, max(FIRST_DELAY, last * 2))
