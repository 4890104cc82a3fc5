"""A TCP proxy to unix sockets, whose connections can be cut and whose server can be replaced."""

from __future__ import annotations

import contextlib
import selectors
import socket
import struct
import threading
import time
from pathlib import Path


class Proxy:
    """Accepts on `url`. A change of `target` affects new connections; `cut` ends the open ones."""

    def __init__(self, target: Path) -> None:
        self.target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """End every connection."""
        for pair in self._pairs:
            for end in pair:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
        self._pairs.clear()

    def close(self) -> None:
        """Stop accepting, and end every connection."""
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.socket(socket.AF_UNIX)
                try:
                    far.connect(str(self.target))
                except OSError:
                    near.close()
                    far.close()
                    continue
                self._pairs.append((near, far))
                threading.Thread(target=_carry, args=(near, far), daemon=True).start()


def _carry(near: socket.socket, far: socket.socket) -> None:
    with selectors.DefaultSelector() as ready, near, far, contextlib.suppress(OSError, ValueError):
        ready.register(near, selectors.EVENT_READ, far)
        ready.register(far, selectors.EVENT_READ, near)
        while True:
            for key, _ in ready.select():
                piece = key.fileobj.recv(65536)  # type: ignore[union-attr]
                if not piece:
                    return
                key.data.sendall(piece)


def reset(address: tuple[str, int], request: bytes, wait: float) -> None:
    """Send a request and reset the connection after `wait` seconds, without reading the answer."""
    with socket.create_connection(address, timeout=20) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.sendall(request)
        time.sleep(wait)
