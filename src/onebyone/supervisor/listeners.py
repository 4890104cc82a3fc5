"""Listening sockets, bound once by the supervisor and handed down: a dead worker never closes its port."""

from __future__ import annotations

import os
import socket

from onebyone.supervisor.fault import StartFault

BACKLOG = 2048
"""Connections that wait while every worker restarts."""


def bind(host: str, port: int, setting: str) -> socket.socket:
    """A listening socket; port 0 picks a free one. `setting` names the port's setting in the `StartFault`."""
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE | socket.AI_NUMERICSERV
        )[0]
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise StartFault(f"cannot listen on {host}: {reason}; ONEBYONE_HOST names the address") from None
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise StartFault(f"cannot listen on {host} port {port}: {reason}; {setting} names the port") from None
    return listener


def port_of(listener: socket.socket) -> int:
    """The port that a socket listens on."""
    port: int = listener.getsockname()[1]
    return port


def url(host: str, port: int) -> str:
    """Base URL of what listens there."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
