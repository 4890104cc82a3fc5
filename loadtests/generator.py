"""Requests on keep-alive connections for a bounded time: wrk where it is installed, else a small one of our own."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import time
from urllib.parse import urlsplit

MAX_SECONDS = 60.0


def name() -> str:
    """Which generator will be used."""
    return "wrk" if shutil.which("wrk") else "asyncio sockets"


def load(url: str, connections: int, seconds: float) -> int:
    """Sends GET after GET on each connection; how many were answered with 200. Loopback only."""
    if urlsplit(url).hostname != "127.0.0.1" or not 0 < seconds <= MAX_SECONDS:
        raise ValueError("only the loopback address, and for a minute at most")
    wrk = shutil.which("wrk")
    if wrk is None:
        return asyncio.run(_load(url, connections, seconds))
    command = [
        wrk,
        "--threads",
        "1",
        "--connections",
        str(connections),
        "--duration",
        f"{max(1, round(seconds))}s",
        url,
    ]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in output or "Socket errors" in output:
        raise RuntimeError(output)
    found = re.search(r"(\d+) requests in", output)
    if found is None:
        raise RuntimeError(output)
    return int(found[1])


async def _load(url: str, connections: int, seconds: float) -> int:
    parts = urlsplit(url)
    request = f"GET {parts.path}?{parts.query} HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode()
    until = time.monotonic() + seconds
    one = (_connection(parts.hostname or "", parts.port or 80, request, until) for _ in range(connections))
    return sum(await asyncio.gather(*one))


async def _connection(host: str, port: int, request: bytes, until: float) -> int:
    reader, writer = await asyncio.open_connection(host, port)
    answered = 0
    try:
        while time.monotonic() < until:
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            if not head.startswith(b"http/1.1 200"):
                raise RuntimeError(head.decode("latin-1"))
            await reader.readexactly(int(head.split(b"content-length:")[1].split(b"\r\n", 1)[0]))
            answered += 1
    finally:
        writer.close()
        await writer.wait_closed()
    return answered
