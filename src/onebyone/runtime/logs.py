"""Log lines on standard error: JSON objects for machines, or readable lines on a terminal.

Hostile text cannot forge a line in either format: JSON escapes line feeds, and a readable line has everything that is
not printable escaped. Each line is one system call, so that lines of two processes never mix.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from typing import Any, BinaryIO, Literal, cast

import orjson
import structlog
from structlog.dev import Column, ConsoleRenderer, KeyValueColumnFormatter, LogLevelColumnFormatter
from structlog.stdlib import ProcessorFormatter
from structlog.typing import EventDict, Processor

from onebyone.runtime.terminal import printable, write_bytes

ROLE_WIDTH = len("supervisor")
"""Columns of the longest role name, so that the events of all roles begin below each other."""


class _StandardError:
    """Standard error, unbuffered; lines that nobody reads are dropped, as no log line is worth an answer."""

    def __init__(self) -> None:
        # Without it at the start, its number may since be that of any file.
        self._fd = None if sys.__stderr__ is None else sys.__stderr__.fileno()

    def write(self, line: bytes) -> None:
        if self._fd is not None:
            with contextlib.suppress(OSError):
                write_bytes(self._fd, line)

    def flush(self) -> None:
        """Do nothing: no line waits."""


class _LineHandler(logging.Handler):
    """The standard library's logging, on the same stream."""

    def __init__(self, stream: _StandardError) -> None:
        super().__init__()
        self._stream = stream

    def emit(self, record: logging.LogRecord) -> None:
        self._stream.write(_encoded(f"{self.format(record)}\n"))


def resolve_format(chosen: Literal["auto", "json", "console"]) -> Literal["json", "console"]:
    """Return the format to log in: `auto` is `console` where standard error is a terminal, else `json`."""
    if chosen == "auto":
        return "console" if _is_terminal() else "json"
    return chosen


def configure_logging(role: str, level: str, log_format: Literal["auto", "json", "console"]) -> None:
    """Send structlog and the standard library's logging to standard error, with `role` on each line."""
    console = resolve_format(log_format) == "console"
    shared: list[Processor] = [
        # Not a context variable: those are not seen by a role's own threads.
        lambda _, __, line: {**line, "role": role},
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper("%H:%M:%S" if console else "iso", utc=not console),
        structlog.processors.format_exc_info,
    ]
    rendering: list[Processor] = (
        [_escape, _console_renderer()] if console else [structlog.processors.JSONRenderer(serializer=_dumps)]
    )
    stream = _StandardError()
    threshold = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[*shared, *rendering, lambda _, __, line: _encoded(str(line))],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.BytesLoggerFactory(cast("BinaryIO", stream)),
        cache_logger_on_first_use=True,
    )
    handler = _LineHandler(stream)
    handler.setFormatter(
        ProcessorFormatter(processors=[ProcessorFormatter.remove_processors_meta, *rendering], foreign_pre_chain=shared)
    )
    logging.basicConfig(handlers=[handler], level=max(threshold, logging.WARNING), force=True)


def _dumps(value: Any, **_: Any) -> str:
    return orjson.dumps(value, default=repr).decode()


def _encoded(line: str) -> bytes:
    return line.encode(errors="backslashreplace")


def _escape(_: Any, __: str, line: EventDict) -> EventDict:
    """Make all text printable; the lines of a traceback are indented, so that none looks like a log line."""
    traceback = line.pop("exception", None)
    safe = {
        printable(str(name)): printable(value if isinstance(value, str) else repr(value))
        for name, value in line.items()
    }
    if traceback is not None:
        safe["exception"] = "\n".join(f"    {printable(row)}" for row in str(traceback).splitlines())
    return safe


def _console_renderer() -> ConsoleRenderer:
    colors = _is_terminal() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    styles = ConsoleRenderer.get_default_column_styles(colors)
    reset = styles.reset

    def column(style: str, width: int = 0) -> KeyValueColumnFormatter:
        return KeyValueColumnFormatter(None, style, reset, value_repr=str, width=width)

    return ConsoleRenderer(
        columns=[
            Column("timestamp", column(styles.timestamp)),
            Column("level", LogLevelColumnFormatter(ConsoleRenderer.get_default_level_styles(colors), reset)),
            Column("role", column(styles.logger_name, ROLE_WIDTH)),
            Column("event", column(styles.bright)),
            Column("", KeyValueColumnFormatter(styles.kv_key, styles.kv_value, reset, value_repr=_quoted)),
        ],
        sort_keys=False,
    )


def _quoted(value: object) -> str:
    text = str(value)
    return f'"{text}"' if not text or " " in text or "=" in text else text


def _is_terminal() -> bool:
    try:
        return sys.__stderr__ is not None and sys.__stderr__.isatty()
    except (OSError, ValueError):
        return False
