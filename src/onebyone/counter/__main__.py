"""Run one counter process, with settings from the environment: `python -m onebyone.counter`."""

from __future__ import annotations

import sys

import uvloop

from onebyone.counter import process
from onebyone.counter.stream import Misconfigured
from onebyone.runtime import logs
from onebyone.runtime.exit_codes import REFUSED
from onebyone.runtime.role import Lifeline
from onebyone.runtime.terminal import write_line
from onebyone.settings import Settings


async def main() -> None:
    """Run until the supervisor or a signal says stop."""
    settings = Settings()
    logs.configure_logging("counter", settings.log_level, settings.log_format)
    lifeline = Lifeline()
    await process.run_counter(settings, lifeline.stopping, lifeline.report_ready)


if __name__ == "__main__":
    try:
        uvloop.run(main())
    except Misconfigured as refusal:
        write_line(sys.stderr, f"onebyone counter: {refusal}")
        sys.exit(REFUSED)
