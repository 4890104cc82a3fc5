"""The roles as data: what to run, how often, on which socket, and what to print when it is ready."""

from __future__ import annotations

import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from onebyone.runtime.role import LIFELINE, LISTENER
from onebyone.supervisor.keeper import Keeper
from onebyone.supervisor.lifeline import Line
from onebyone.supervisor.process import Process, ProcessTable


@dataclass(frozen=True, slots=True)
class Role:
    """One kind of child process."""

    name: str
    announcement: str
    """The line to print once every copy is ready; empty prints none."""
    command: tuple[str, ...]
    copies: int = 1
    listener: socket.socket | None = None
    once: bool = False
    """True: it may end by itself and is then not started again."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all copies of one role share."""

    table: ProcessTable
    environment: Mapping[str, str]
    metrics: Path | None
    """Folder of their metric files; None: there is no room for one."""
    lock: int | None


def module(name: str, *arguments: str) -> tuple[str, ...]:
    """The command that runs a role's package."""
    return (sys.executable, "-m", f"onebyone.{name}", *arguments)


class Copy(Keeper):
    """One process of a role."""

    def __init__(self, role: Role, number: int, around: Surroundings) -> None:
        super().__init__(f"{role.name}[{number}]" if role.copies > 1 else role.name)
        self.once = role.once
        self._role = role
        self._number = number
        self._around = around
        self._line: Line | None = None

    @property
    def serves(self) -> bool:
        """Whether it has a port, which a successor can take over before it ends."""
        return self._role.listener is not None

    def successor(self) -> Copy:
        """Another process for the same place, not started yet."""
        return Copy(self._role, self._number, self._around)

    async def launch(self) -> Process:
        """Starts it; `ready` is set when it says so on its lifeline."""
        line = Line(self.ready.set)
        handed_down = [line.descriptor]
        if self._around.lock is not None:
            handed_down.append(self._around.lock)
        environment = {**self._around.environment, LIFELINE: str(line.descriptor)}
        if self._around.metrics is not None:
            environment["PROMETHEUS_MULTIPROC_DIR"] = str(self._around.metrics)
        if self._role.listener is not None:
            handed_down.append(self._role.listener.fileno())
            environment[LISTENER] = str(self._role.listener.fileno())
        try:
            process = self._around.table.start(self._role.command, environment=environment, pass_fds=handed_down)
        except OSError:
            line.close()
            raise
        line.listen()
        self._line = line
        return process

    def buried(self, process: Process) -> None:
        """Closes its lifeline and drops the gauges that said how it was, as a dead process has none."""
        if self._line is not None:
            self._line.close()
            self._line = None
        if self._around.metrics is not None:
            for gauge in self._around.metrics.glob(f"gauge_live*_{process.pid}.db"):
                gauge.unlink(missing_ok=True)


def copies(
    role: Role, table: ProcessTable, environment: Mapping[str, str], metrics: Path | None, lock: int | None
) -> list[Copy]:
    """The processes of a role, not started yet."""
    around = Surroundings(table, environment, metrics, lock)
    return [Copy(role, number, around) for number in range(1, role.copies + 1)]
