"""Keeps one child process running: restarts it when it dies, with growing delays when it dies young, and stops it."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from abc import ABC, abstractmethod

import structlog

from onebyone.runtime.exit_codes import BAD_SETTINGS, REFUSED
from onebyone.supervisor.fault import StartFault
from onebyone.supervisor.process import Process

YOUNG_SECONDS = 5.0
"""A process that dies within this time of its start is restarted with a delay: it would most likely die again."""
FIRST_DELAY = 0.1
"""Seconds; short enough that one crash at the start is hardly noticed. Each further early death doubles it."""
LONGEST_DELAY = 10.0
"""Seconds; a cause that an operator has removed is followed by a restart within this time."""

_log = structlog.get_logger()


class Child(ABC):
    """A process that must run. `refused` is set when it cannot run as configured and has said why."""

    one_shot = False
    """Whether the process may end on its own and is then not restarted."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.ready = asyncio.Event()
        self.refused = asyncio.Event()
        self.refusal_code = 1
        """Exit code for the command once `refused` is set."""
        self._process: Process | None = None
        self._keeping: asyncio.Task[None] | None = None

    @abstractmethod
    async def launch(self) -> Process:
        """Start the process and set `ready` once it is. Raise `StartFault` or OSError and leave no process behind."""

    @abstractmethod
    def on_exit(self, process: Process) -> None:
        """Clean up after an ended process; called once for each."""

    async def begin(self) -> None:
        """Start the process and keep it running from then on. Raise `StartFault` when this first start fails."""
        started = time.monotonic()
        try:
            self._process = await self.launch()
        except OSError as error:
            raise StartFault(f"{self.name} cannot start: {error}") from None
        self._keeping = asyncio.create_task(self._keep(started))

    async def settled(self, seconds: float | None = None) -> None:
        """Return when the process is ready or has refused, or after `seconds`."""
        waits = [asyncio.create_task(event.wait()) for event in (self.ready, self.refused)]
        try:
            await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def _keep(self, started: float) -> None:
        delay = 0.0
        while True:
            if self._process is not None:
                await self._process.ended.wait()
                self.on_exit(self._process)
                if self._is_final(self._process):
                    return
            delay = next_delay(delay, time.monotonic() - started)
            if self._process is not None:
                _log.error(
                    "process died", process=self.name, pid=self._process.pid, how=self._process.end, restart_in=delay
                )
            await asyncio.sleep(delay)
            started = time.monotonic()
            try:
                self._process = None
                self._process = await self.launch()
            except (StartFault, OSError) as fault:
                self._process = None
                _log.error("process cannot start", process=self.name, reason=str(fault))
            else:
                _log.warning("process restarted", process=self.name, pid=self._process.pid)

    def _is_final(self, process: Process) -> bool:
        if process.exit_code in (BAD_SETTINGS, REFUSED) and not self.ready.is_set():
            self.refusal_code = BAD_SETTINGS if process.exit_code == BAD_SETTINGS else 1
            self.refused.set()
            return True
        if self.one_shot and process.exit_code != 0:
            _log.error("process died", process=self.name, pid=process.pid, how=process.end)
        return self.one_shot

    async def stop(
        self,
        seconds: float,
        hurry: asyncio.Event,
        hurry_seconds: float = 0.0,
        gently: signal.Signals = signal.SIGTERM,
    ) -> bool:
        """Stop the process and return whether it ended cleanly.

        Send `gently`, then SIGKILL after `seconds`, or `hurry_seconds` after `hurry` is set. A process
        that is killed because of `hurry` is no error in the log: somebody asked for it.
        """
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
        self.on_exit(process)
        clean = in_time and process.exit_code in (0, -gently)
        if not clean and not hurry.is_set():
            _log.error("process did not stop cleanly", process=self.name, pid=process.pid, how=process.end)
        return clean


def next_delay(last: float, lived: float) -> float:
    """Return the seconds before the next start, given the last delay and how long the process lived after it."""
    if lived >= YOUNG_SECONDS:
        return 0.0
    return min(LONGEST_DELAY, max(FIRST_DELAY, last * 2))
