"""Run one counter process, with settings from the environment: `python -m onebyone.counter`."""

from __future__ import annotations

import sys

import uvloop

from onebyone.counter import process
from onebyone.counter.stream import Misconfigured
from onebyone.runtime import logs
from onebyone.runtime.role import REFUSED, Lifeline
from onebyone.settings import Settings


async def main() -> None:
    """Run until the supervisor or a signal says stop."""
    settings = Settings()
    logs.configure("counter", settings.log_level)
    lifeline = Lifeline()
    await process.run(settings, lifeline.stopping, lifeline.ready)


if __name__ == "__main__":
    try:
        uvloop.run(main())
    except Misconfigured as refusal:
        print(f"onebyone counter: {refusal}", file=sys.stderr)
        sys.exit(REFUSED)
