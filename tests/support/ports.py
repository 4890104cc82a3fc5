"""Free TCP ports on the loopback address."""

from __future__ import annotations

import socket


def free_port() -> int:
    """Return a port on which nothing listens, and which the system gives to no other process while this one lives.

    A socket stays bound to the port without listening. A server that names the port can still bind it, because both set
    SO_REUSEADDR; a process that asks for any free port gets another one.
    """
    reservation = socket.socket()
    reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    reservation.bind(("127.0.0.1", 0))
    port: int = reservation.getsockname()[1]
    reservation.detach()
    return port
