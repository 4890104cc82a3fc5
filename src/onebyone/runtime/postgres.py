"""Connections to PostgreSQL on which both sides detect, in bounded time, that the other one is gone.

On a network that silently drops packets, TCP alone retransmits for a quarter of an hour, and never notices on an idle
connection. Meanwhile a commit would hang on this side, and on the other an orphaned session would hold its row locks
against its successor.
"""

from __future__ import annotations

import socket
from typing import Any
from urllib.parse import urlencode

import asyncpg  # type: ignore[import-untyped]
from sqlalchemy import URL

from onebyone.runtime.store_urls import LIBPQ_PARAMETERS

CONNECT_SECONDS = 10
"""Time to connect and authenticate, also on a busy server."""
SILENCE_SECONDS = 15
"""A peer that has acknowledged nothing for this long is gone. A statement may take longer: TCP still acknowledges."""
IDLE_SECONDS = 5
"""After this long without traffic, TCP probes the peer."""
PROBES = 2
"""Unanswered probes until the peer counts as gone: `IDLE_SECONDS * (PROBES + 1)` is `SILENCE_SECONDS`."""
_SILENCE_MS = SILENCE_SECONDS * 1000
"""The unit of `TCP_USER_TIMEOUT` and `tcp_user_timeout`; the probes are set in seconds."""

SESSION = {
    "tcp_keepalives_idle": str(IDLE_SECONDS),
    "tcp_keepalives_interval": str(IDLE_SECONDS),
    "tcp_keepalives_count": str(PROBES),
    "tcp_user_timeout": str(_SILENCE_MS),
}
"""The same limits for the server's side, which ignores them on a unix socket."""


class Connection(asyncpg.Connection):  # type: ignore[misc]
    """asyncpg's connection, on a socket with keep-alive probes and a user timeout."""

    def __init__(self, protocol: Any, transport: Any, *more: Any) -> None:
        super().__init__(protocol, transport, *more)
        own = transport.get_extra_info("socket")
        if own.family == socket.AF_UNIX:
            return
        own.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in (
            ("TCP_KEEPIDLE", IDLE_SECONDS),
            ("TCP_KEEPINTVL", IDLE_SECONDS),
            ("TCP_KEEPCNT", PROBES),
            ("TCP_USER_TIMEOUT", _SILENCE_MS),
        ):
            if hasattr(socket, name):
                own.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def split_parameters(url: URL) -> tuple[URL, dict[str, Any]]:
    """Return the URL without the parameters of libpq (`sslmode` and the like), and the argument that carries these.

    asyncpg knows them in a URL of its own only; SQLAlchemy would pass them as arguments, which it refuses.
    """
    ours = {name: value for name, value in url.query.items() if name in LIBPQ_PARAMETERS}
    if not ours:
        return url, {}
    return url.difference_update_query(ours), {"dsn": f"postgresql://?{urlencode(ours, doseq=True)}"}


def connect_arguments(idle_transaction_seconds: int) -> dict[str, Any]:
    """Return the keyword arguments for `asyncpg.connect`; 0 seconds: a transaction may be idle forever."""
    idle = {"idle_in_transaction_session_timeout": str(idle_transaction_seconds * 1000)}
    session = SESSION | idle if idle_transaction_seconds else SESSION
    return {"timeout": CONNECT_SECONDS, "connection_class": Connection, "server_settings": session}
