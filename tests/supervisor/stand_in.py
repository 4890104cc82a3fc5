"""Stand-ins for roles, and a supervisor that runs them: `python -m tests.supervisor.stand_in`.

role NAME BEHAVIOUR    a role that appends `NAME started|draining|stopped PID` to `$STAND_IN_DIARY`
serve EDGE API COUNTER a supervisor of three roles with these behaviours, with the settings of the environment
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path

from onebyone.runtime import exit_codes, role
from onebyone.settings import Settings
from onebyone.supervisor import main
from onebyone.supervisor.main import Plan
from onebyone.supervisor.roles import Role


def diary(name: str, what: str) -> None:
    with Path(os.environ["STAND_IN_DIARY"]).open("a") as file:
        file.write(f"{name} {what} {os.getpid()}\n")


def times_started(name: str) -> int:
    return Path(os.environ["STAND_IN_DIARY"]).read_text().count(f"{name} started")


async def live(name: str, behaviour: str) -> None:
    diary(name, "started")
    match behaviour:
        case "crash":
            sys.exit(1)
        case "refuse":
            print(f"{name} has a reason", file=sys.stderr)
            sys.exit(exit_codes.REFUSED)
        case "never-ready":
            await asyncio.sleep(1000)
    lifeline = role.Lifeline()
    if behaviour == "refuse-later" and times_started(name) > 1:
        sys.exit(lifeline.refuse(name, f"{name} has another reason"))
    lifeline.report_ready()
    diary(name, "ready")
    await lifeline.stopping.wait()
    diary(name, "draining")
    if behaviour == "stubborn":
        time.sleep(1000)  # noqa: ASYNC251
    if behaviour == "slow":
        await asyncio.sleep(1.0)
    diary(name, "stopped")


def plan(settings: Settings) -> Plan:
    def stand_in(name: str, behaviour: str, copies: int = 1) -> Role:
        command = (sys.executable, "-m", "tests.supervisor.stand_in", "role", name, behaviour)
        return Role(name, f"{name} ready", command, copies)

    edge, api, counter = sys.argv[2:5]
    return Plan(
        [[stand_in("edge", edge, settings.workers), stand_in("api", api)], [stand_in("counter", counter)]],
        {"edge_port": 1, "api_port": 2},
    )


if __name__ == "__main__":
    if sys.argv[1] == "role":
        asyncio.run(live(*sys.argv[2:4]))
    else:
        sys.exit(main.run_plan(Settings(), ("edge", "api", "counter"), plan, embed=True))
