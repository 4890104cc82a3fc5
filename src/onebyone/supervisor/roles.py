"""The roles as data: which command to run, how many times, on which socket, and what to print once it is ready."""

from __future__ import annotations

import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import structlog

from onebyone.runtime.role import LIFELINE, LISTENER
from onebyone.supervisor.child import Child
from onebyone.supervisor.lifeline import ChildLifeline
from onebyone.supervisor.process import Process, ProcessTable

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Role:
    """One kind of child process."""

    name: str
    announcement: str
    """The line to print once all its processes are ready; empty prints none."""
    command: tuple[str, ...]
    processes: int = 1
    listener: socket.socket | None = None
    one_shot: bool = False
    """Whether the process may end on its own and is then not restarted. It starts after all other roles are ready."""


@dataclass(frozen=True, slots=True)
class RoleEnvironment:
    """What all processes of one role share."""

    table: ProcessTable
    variables: Mapping[str, str]
    metrics: Path | None
    """Folder of their metric files; None: no place has room for one."""
    lock_fd: int | None


def role_command(name: str, *arguments: str) -> tuple[str, ...]:
    """Return the command that runs a role's package."""
    return (sys.executable, "-m", f"onebyone.{name}", *arguments)


class RoleProcess(Child):
    """One process of a role."""

    def __init__(self, role: Role, index: int, shared: RoleEnvironment) -> None:
        super().__init__(f"{role.name}[{index}]" if role.processes > 1 else role.name)
        self.one_shot = role.one_shot
        self._role = role
        self._index = index
        self._shared = shared
        self._lifeline: ChildLifeline | None = None
        self.refusals: list[str] = []
        """Why its last process could not run as configured, each as a line."""

    @property
    def serves(self) -> bool:
        """Whether it has a port, which a successor can take over before it ends."""
        return self._role.listener is not None

    def successor(self) -> RoleProcess:
        """Return another process for the same place, not started yet."""
        return RoleProcess(self._role, self._index, self._shared)

    async def launch(self) -> Process:
        """Start it; `ready` is set when it says so on its lifeline."""
        lifeline = ChildLifeline(self.ready.set)
        pass_fds = [lifeline.child_fd]
        if self._shared.lock_fd is not None:
            pass_fds.append(self._shared.lock_fd)
        variables = {**self._shared.variables, LIFELINE: str(lifeline.child_fd)}
        if self._shared.metrics is not None:
            variables["PROMETHEUS_MULTIPROC_DIR"] = str(self._shared.metrics)
        if self._role.listener is not None:
            pass_fds.append(self._role.listener.fileno())
            variables[LISTENER] = str(self._role.listener.fileno())
        try:
            process = self._shared.table.start(self._role.command, environment=variables, pass_fds=pass_fds)
        except OSError:
            lifeline.close()
            raise
        lifeline.listen()
        self._lifeline = lifeline
        return process

    def on_exit(self, process: Process) -> None:
        """Close its lifeline and delete its live gauges: they describe a running process."""
        if self._lifeline is not None:
            self._lifeline.close()
            self.refusals = self._lifeline.refusals
            self._lifeline = None
            if self.ready.is_set():
                # Not at a start of the product, which ends with these lines.
                for reason in self.refusals:
                    _log.error("process cannot run as configured", process=self.name, reason=reason)
        if self._shared.metrics is not None:
            for gauge in self._shared.metrics.glob(f"gauge_live*_{process.pid}.db"):
                gauge.unlink(missing_ok=True)


def role_processes(
    role: Role, table: ProcessTable, variables: Mapping[str, str], metrics: Path | None, lock_fd: int | None
) -> list[RoleProcess]:
    """Return the processes of a role, not started yet."""
    shared = RoleEnvironment(table, variables, metrics, lock_fd)
    return [RoleProcess(role, index, shared) for index in range(1, role.processes + 1)]
