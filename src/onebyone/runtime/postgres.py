"""Connections to PostgreSQL on which both sides notice, in bounded time, that the other one is gone.

On a network that drops packets without a word, TCP alone goes on for a quarter of an hour with what is under way, and
for ever with an idle connection. Meanwhile a commit would hang here, and there a session that nobody holds any more
would keep its row locks against its successor.
"""

from __future__ import annotations

import socket
from typing import Any

import asyncpg  # type: ignore[import-untyped]

CONNECT_SECONDS = 10
SILENCE_SECONDS = 15
"""A peer that has acknowledged nothing for so long is gone. A statement may take longer: TCP still acknowledges."""
IDLE_SECONDS = 5
"""After so long without traffic the peer is asked whether it is there."""
PROBES = 2

_SILENCE_MS = SILENCE_SECONDS * 1000

SESSION = {
    "tcp_keepalives_idle": str(IDLE_SECONDS),
    "tcp_keepalives_interval": str(IDLE_SECONDS),
    "tcp_keepalives_count": str(PROBES),
    "tcp_user_timeout": str(_SILENCE_MS),
}
"""The same for the server's side; it takes no offence where the connection is a unix socket."""


class Connection(asyncpg.Connection):  # type: ignore[misc]
    """asyncpg's, on a socket that is watched."""

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


def arguments() -> dict[str, Any]:
    """What `asyncpg.connect` is called with."""
    return {"timeout": CONNECT_SECONDS, "connection_class": Connection, "server_settings": SESSION}
