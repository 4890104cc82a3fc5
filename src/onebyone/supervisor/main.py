"""One run of the product: locks, sockets, the embedded server, the roles, and their drain in order."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import structlog

from onebyone.runtime import logs
from onebyone.runtime.descriptors import raise_descriptor_limit
from onebyone.runtime.metrics_folder import MetricsFolders
from onebyone.runtime.private_files import close_to_others
from onebyone.runtime.terminal import printable, write_line
from onebyone.settings import Settings
from onebyone.supervisor import rolling
from onebyone.supervisor.data_dir import DataDir
from onebyone.supervisor.fault import StartFault
from onebyone.supervisor.process import ProcessTable, child_environment
from onebyone.supervisor.roles import Role, RoleProcess, role_processes
from onebyone.supervisor.signals import handle_signals
from onebyone.supervisor.valkey import EmbeddedValkey

DRAIN_SECONDS = 12.0
"""For one group to drain, after the setting `drain_seconds`: an edge ships for up to 5, a long request takes some."""
VALKEY_STOP_SECONDS = 5.0
"""For the embedded server to write and sync its append-only file."""
HURRIED_VALKEY_SECONDS = 2.0
"""The same after a second signal; what it loses, the journals send again."""

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run. All groups start together; each drains only after the group before it has drained."""

    groups: Sequence[Sequence[Role]]
    settings: Mapping[str, object]
    """Settings for the children, by lower-case name: the ports that were bound."""
    summary: str = ""
    """What to print once everything is ready."""


def run_plan(settings: Settings, locks: Sequence[str], plan: Callable[[Settings], Plan], *, embed: bool) -> int:
    """Run until stopped and return the exit code. Print one line and no traceback when the product cannot start.

    `locks` names the roles that no other supervisor may run on the same data folder. `plan` binds the sockets, so it
    is called once the folder is locked. `embed` starts a server for whichever of the cache and stream URLs is not set.
    """
    log_format = logs.resolve_format(settings.log_format)
    logs.configure_logging("supervisor", settings.log_level, log_format)
    raise_descriptor_limit()
    try:
        data_dir = DataDir(settings.data_dir)
        for warning in close_to_others(settings):
            write_line(sys.stderr, f"onebyone: warning: {printable(warning)}")
        locked = {role: data_dir.lock(role) for role in locks}
        return asyncio.run(_Run(settings, data_dir, locked, log_format, embed).run(plan(settings)))
    except StartFault as fault:
        for line in str(fault).split("\n"):
            write_line(sys.stderr, f"onebyone: {printable(line)}")
        return fault.exit_code
    except KeyboardInterrupt:
        return 130


class _Run:
    def __init__(
        self, settings: Settings, data_dir: DataDir, locks: Mapping[str, int], log_format: str, embed: bool
    ) -> None:
        self._settings = settings
        self._data_dir = data_dir
        self._locks = locks
        self._log_format = log_format
        self._embed = embed and not (settings.cache_url and settings.stream_url)
        self._metrics = MetricsFolders(settings)
        self._valkey: EmbeddedValkey | None = None
        self._groups: list[list[RoleProcess]] = []

    async def run(self, plan: Plan) -> int:
        stop, hurry, again = handle_signals()
        starting = asyncio.create_task(self._start(plan))
        restarting = asyncio.create_task(asyncio.sleep(0))
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        try:
            if not stop.is_set():
                await starting
                restarting = asyncio.create_task(self._restart_on(again, hurry))
                await stopping
        finally:
            for task in (stopping, starting, restarting):
                task.cancel()
            await asyncio.gather(starting, restarting, return_exceptions=True)
            clean = await self._drain(hurry)
        if clean:
            _log.info("stopped")
        return 0 if clean else 1

    async def _start(self, plan: Plan) -> None:
        table = ProcessTable()
        shared = {**self._settings.options, **plan.settings, "log_format": self._log_format}
        if self._embed:
            self._valkey = EmbeddedValkey(self._data_dir, self._settings.valkey_maxmemory, table)
            await self._valkey.begin()
            write_line(sys.stdout, f"valkey ready (unix socket {self._valkey.socket})")
            shared["cache_url"] = self._settings.cache_url or self._valkey.url
            shared["stream_url"] = self._settings.stream_url or self._valkey.url
        variables = child_environment(**shared)
        started: list[tuple[Role, list[RoleProcess]]] = []
        for roles in plan.groups:
            group: list[RoleProcess] = []
            self._groups.append(group)
            for role in roles:
                metrics = self._metrics.create(role.name)
                processes = role_processes(role, table, variables, metrics, self._locks.get(role.name))
                group += processes
                started.append((role, processes))
        await _begin_all([each for each in started if not each[0].one_shot])
        if plan.summary:
            write_line(sys.stdout, plan.summary)
        await _begin_all([each for each in started if each[0].one_shot])

    async def _restart_on(self, again: asyncio.Event, hurry: asyncio.Event) -> None:
        while True:
            await again.wait()
            again.clear()
            await rolling.restart_all(self._groups, self._settings.drain_seconds + DRAIN_SECONDS, hurry)

    async def _drain(self, hurry: asyncio.Event) -> bool:
        seconds = self._settings.drain_seconds + DRAIN_SECONDS
        clean = True
        for group in self._groups:
            clean &= all(await asyncio.gather(*(process.stop(seconds, hurry) for process in group)))
        if self._valkey is not None:
            clean &= await self._valkey.stop(VALKEY_STOP_SECONDS, hurry, HURRIED_VALKEY_SECONDS)
            self._valkey.remove()
        self._metrics.remove()
        return clean


async def _begin_all(started: Sequence[tuple[Role, Sequence[RoleProcess]]]) -> None:
    try:
        async with asyncio.TaskGroup() as beginning:
            for role, processes in started:
                beginning.create_task(_begin(role, processes))
    except ExceptionGroup as faults:
        raise faults.exceptions[0] from None


async def _begin(role: Role, processes: Sequence[RoleProcess]) -> None:
    for process in processes:
        await process.begin()
    for process in processes:
        await process.settled()
        if process.refused.is_set():
            reasons = process.refusals or [f"{role.name} cannot run as configured"]
            raise StartFault("\n".join(reasons), process.refusal_code)
    if role.announcement:
        write_line(sys.stdout, role.announcement)
