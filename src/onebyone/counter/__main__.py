"""Run one counter process, with settings from the environment: `python -m onebyone.counter`."""

from __future__ import annotations

import os
import sys

import uvloop

from onebyone.counter import process
from onebyone.counter.stream import Misconfigured
from onebyone.runtime import logs, role
from onebyone.settings import Settings


async def main(settings: Settings) -> int:
    """Run until the supervisor or a signal says stop; return the exit code."""
    lifeline = role.Lifeline()
    listener = role.inherited_listener() if role.LISTENER in os.environ else None
    try:
        await process.run_counter(settings, lifeline.stopping, lifeline.report_ready, listener)
    except Misconfigured as refusal:
        return lifeline.refuse("counter", str(refusal))
    return 0


if __name__ == "__main__":
    settings = role.read_role_settings("counter")
    logs.configure_logging("counter", settings.log_level, settings.log_format)
    sys.exit(uvloop.run(main(settings)))
