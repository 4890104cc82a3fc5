"""The supervisor's log lines. Its work goes on when nobody reads them any more, as after `serve 2>&1 | head`."""

from __future__ import annotations

import contextlib

import structlog

_log = structlog.get_logger()


def info(event: str, **fields: object) -> None:
    """Something that was asked for happens."""
    with contextlib.suppress(OSError):
        _log.info(event, **fields)


def warning(event: str, **fields: object) -> None:
    """A repair."""
    with contextlib.suppress(OSError):
        _log.warning(event, **fields)


def error(event: str, **fields: object) -> None:
    """Something broke."""
    with contextlib.suppress(OSError):
        _log.error(event, **fields)


def announce(line: str) -> None:
    """A line on standard output."""
    with contextlib.suppress(OSError):
        print(line, flush=True)
