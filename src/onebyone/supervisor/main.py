"""One run of the product: locks, sockets, the embedded server, the roles, and their drain in order."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from onebyone.runtime import logs
from onebyone.runtime.metrics_folder import MetricsFolders
from onebyone.settings import Settings
from onebyone.supervisor import report, rolling
from onebyone.supervisor.data_dir import DataDir
from onebyone.supervisor.fault import StartFault
from onebyone.supervisor.process import ProcessTable, environment
from onebyone.supervisor.roles import Copy, Role, copies
from onebyone.supervisor.valkey import EmbeddedValkey

DRAIN_SECONDS = 12.0
"""For one group to drain; the setting `drain_seconds` comes on top."""
VALKEY_STOP_SECONDS = 5.0
HURRIED_VALKEY_SECONDS = 2.0
OPEN_FILES = 65_536
"""For each process, where the system allows as many."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run. A group drains once the group before it has drained; all start at the same time."""

    groups: Sequence[Sequence[Role]]
    settings: Mapping[str, object]
    """Settings that children get, by lower-case name: the ports that were bound."""


def run(settings: Settings, locks: Sequence[str], plan: Callable[[Settings], Plan], *, embed: bool) -> int:
    """Runs until it is told to stop; the exit code. Prints one line and no traceback when it cannot start.

    `locks` names the roles that no other supervisor may run on the same data folder. `plan` binds the sockets, so it
    is called once the folder is ours. `embed` starts a server for whichever of the cache and stream URLs is not set.
    """
    logs.configure("supervisor", settings.log_level)
    _allow_many_connections()
    try:
        data_dir = DataDir(settings.data_dir)
        held = {role: data_dir.lock(role) for role in locks}
        return asyncio.run(_Run(settings, data_dir, held, embed).run(plan(settings)))
    except StartFault as fault:
        print(f"onebyone: {fault}", file=sys.stderr, flush=True)
        return 1
    except KeyboardInterrupt:
        return 130


class _Run:
    def __init__(self, settings: Settings, data_dir: DataDir, locks: Mapping[str, int], embed: bool) -> None:
        self._settings = settings
        self._data_dir = data_dir
        self._locks = locks
        self._embed = embed and not (settings.cache_url and settings.stream_url)
        self._metrics = MetricsFolders(settings)
        self._valkey: EmbeddedValkey | None = None
        self._groups: list[list[Copy]] = []

    async def run(self, plan: Plan) -> int:
        stop, hurry, again = _signals()
        starting = asyncio.create_task(self._start(plan))
        restarting = asyncio.create_task(asyncio.sleep(0))
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        try:
            if not stop.is_set():
                await starting
                restarting = asyncio.create_task(self._roll(again, hurry))
                await stopping
        finally:
            for task in (stopping, starting, restarting):
                task.cancel()
            await asyncio.gather(starting, restarting, return_exceptions=True)
            clean = await self._drain(hurry)
        return 0 if clean else 1

    async def _start(self, plan: Plan) -> None:
        table = ProcessTable()
        shared = dict(plan.settings)
        if self._embed:
            self._valkey = EmbeddedValkey(self._data_dir, self._settings.valkey_maxmemory, table)
            await self._valkey.begin()
            report.announce(f"valkey ready (unix socket {self._valkey.socket})")
            shared["cache_url"] = self._settings.cache_url or self._valkey.url
            shared["stream_url"] = self._settings.stream_url or self._valkey.url
        childs_environment = environment(**shared)
        try:
            async with asyncio.TaskGroup() as beginning:
                for group in plan.groups:
                    members: list[Copy] = []
                    self._groups.append(members)
                    for role in group:
                        metrics = self._metrics.create(role.name)
                        started = copies(role, table, childs_environment, metrics, self._locks.get(role.name))
                        members += started
                        beginning.create_task(_begin(role, started))
        except ExceptionGroup as faults:
            raise faults.exceptions[0] from None

    async def _roll(self, again: asyncio.Event, hurry: asyncio.Event) -> None:
        while True:
            await again.wait()
            again.clear()
            await rolling.restart(self._groups, self._settings.drain_seconds + DRAIN_SECONDS, hurry)

    async def _drain(self, hurry: asyncio.Event) -> bool:
        seconds = self._settings.drain_seconds + DRAIN_SECONDS
        clean = True
        for group in self._groups:
            clean &= all(await asyncio.gather(*(copy.stop(seconds, hurry) for copy in group)))
        if self._valkey is not None:
            clean &= await self._valkey.stop(VALKEY_STOP_SECONDS, hurry, HURRIED_VALKEY_SECONDS)
            self._valkey.remove()
        self._metrics.remove()
        return clean


async def _begin(role: Role, members: Sequence[Copy]) -> None:
    for copy in members:
        await copy.begin()
    for copy in members:
        waits = [asyncio.create_task(event.wait()) for event in (copy.ready, copy.refused)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        if copy.refused.is_set():
            raise StartFault(f"{role.name} cannot run as configured")
    if role.announcement:
        report.announce(role.announcement)


def _allow_many_connections() -> None:
    # The usual soft limit of 1024 files would cap an edge worker's connections; children inherit ours.
    limit, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if most == resource.RLIM_INFINITY else min(OPEN_FILES, most)
    if limit != resource.RLIM_INFINITY and limit < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def _signals() -> tuple[asyncio.Event, asyncio.Event, asyncio.Event]:
    """Events of the first and of the second signal to stop, and of the signal to restart all processes."""
    stop, hurry, again = asyncio.Event(), asyncio.Event(), asyncio.Event()
    # In the foreground of a terminal SIGHUP says that the terminal is gone, else it is the operator's word.
    hangs_up = _has_terminal() and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN

    def told(number: signal.Signals) -> None:
        (hurry if stop.is_set() else stop).set()
        report.info("stopping at once" if hurry.is_set() else "draining", signal=number.name)

    def restart() -> None:
        report.info("rolling restart")
        again.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, *([signal.SIGHUP] if hangs_up else [])):
        loop.add_signal_handler(number, told, number)
    if not hangs_up:
        loop.add_signal_handler(signal.SIGHUP, restart)
    return stop, hurry, again


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True
