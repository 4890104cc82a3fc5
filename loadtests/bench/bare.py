"""The baseline of `contest.py`: the same server with an application that only returns the GIF."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import uvloop

from onebyone.edge.tags.responses import GIF_BODY
from onebyone.runtime.web_server import serve

_START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"image/gif"), (b"content-length", b"%d" % len(GIF_BODY))],
}
_BODY = {"type": "http.response.body", "body": GIF_BODY}

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


async def app(scope: Any, receive: Any, send: Send) -> None:
    """Answer every request with the GIF."""
    await send(_START)
    await send(_BODY)


async def _run(port: int) -> None:
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    listener = socket.create_server(("127.0.0.1", port), backlog=2048)
    await serve(app, listener, stopping, lambda: 0.0, lambda: print("ready", flush=True))


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_run(int(sys.argv[1])))
