"""Run one counter process, with settings from the environment: `python -m onebyone.counter`."""

from __future__ import annotations

import os
import sys

import uvloop

from onebyone.counter import process
from onebyone.counter.stream import Misconfigured
from onebyone.runtime import logs, role
from onebyone.runtime.exit_codes import REFUSED
from onebyone.runtime.terminal import write_line
from onebyone.settings import Settings


async def main() -> None:
    """Run until the supervisor or a signal says stop."""
    settings = Settings()
    logs.configure_logging("counter", settings.log_level, settings.log_format)
    lifeline = role.Lifeline()
    listener = role.inherited_listener() if role.LISTENER in os.environ else None
    await process.run_counter(settings, lifeline.stopping, lifeline.report_ready, listener)


if __name__ == "__main__":
    try:
        uvloop.run(main())
    except Misconfigured as refusal:
        write_line(sys.stderr, f"onebyone counter: {refusal}")
        sys.exit(REFUSED)
