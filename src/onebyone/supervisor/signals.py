"""The signals of the supervisor: stop, stop immediately, and restart everything."""

from __future__ import annotations

import asyncio
import os
import signal

import structlog

_log = structlog.get_logger()


def handle_signals() -> tuple[asyncio.Event, asyncio.Event, asyncio.Event]:
    """Return events for the first and the second signal to stop, and for the signal to restart all processes."""
    stop, hurry, again = asyncio.Event(), asyncio.Event(), asyncio.Event()
    # In the foreground of a terminal SIGHUP means that the terminal is gone; elsewhere the operator asks for a restart.
    hangs_up = _has_terminal() and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN

    def on_stop(signum: signal.Signals) -> None:
        if not stop.is_set():
            stop.set()
            _log.info("draining; a second signal stops immediately", signal=signum.name)
        elif not hurry.is_set():
            hurry.set()
            _log.warning("stopping immediately; events that are not counted yet stay on disk", signal=signum.name)

    def on_restart() -> None:
        _log.info("rolling restart")
        again.set()

    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT, *([signal.SIGHUP] if hangs_up else [])):
        loop.add_signal_handler(signum, on_stop, signum)
    if not hangs_up:
        loop.add_signal_handler(signal.SIGHUP, on_restart)
    return stop, hurry, again


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True
