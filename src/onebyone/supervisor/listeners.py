"""Listening sockets, bound once by the supervisor and handed down, so that a dead worker never closes its port."""

from __future__ import annotations

import os
import socket

from onebyone.supervisor.fault import StartFault

BACKLOG = 2048
"""Connections that the kernel queues while every worker restarts; Linux cuts it to net.core.somaxconn (4096)."""


def bind_listener(host: str, port: int, host_setting: str, port_setting: str) -> socket.socket:
    """Return a listening socket; port 0 picks a free one.

    Raise `StartFault`, which names the setting to change: `host_setting` or `port_setting`.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE | socket.AI_NUMERICSERV
        )[0]
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise StartFault(f"cannot listen on {host}: {reason}; {host_setting} names the address") from None
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise StartFault(f"cannot listen on {host} port {port}: {reason}; {port_setting} names the port") from None
    return listener


def port_of(listener: socket.socket) -> int:
    """Return the port that a socket listens on."""
    port: int = listener.getsockname()[1]
    return port
