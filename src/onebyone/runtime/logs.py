"""Log lines: one JSON object a line on standard error, so that hostile text can never forge a line."""

from __future__ import annotations

import contextlib
import io
import logging
import sys
from typing import Any, TextIO, cast

import orjson
import structlog


class _StandardError(io.TextIOBase):
    """Standard error that may be closed on the other side: no log line is worth an answer."""

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):
            return sys.stderr.write(text)
        return 0

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            sys.stderr.flush()


def _dumps(value: Any, **_: Any) -> str:
    return orjson.dumps(value, default=repr).decode()


def configure(role: str, level: str) -> None:
    """Sends structlog and the standard library's logging to standard error as JSON lines with `role` on each."""
    stream = cast("TextIO", _StandardError())
    shared: list[structlog.types.Processor] = [
        # Not a context variable: those are not seen by a role's own threads.
        lambda _, __, line: {**line, "role": role},
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[*shared, structlog.processors.JSONRenderer(serializer=_dumps)],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream)
    renderer = structlog.processors.JSONRenderer(serializer=_dumps)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
            foreign_pre_chain=shared,
        )
    )
    logging.basicConfig(handlers=[handler], level=max(number, logging.WARNING), force=True)
