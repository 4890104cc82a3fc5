"""Requests as Chrome sends them to a tag, from many pages and agents, all different."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

IMPRESSION = "/imptr?id={id}&t=2&cachebuster={cachebuster}&ancost=0.25"
SCRIPT = "/imptr?id={id}&t=1&cachebuster={cachebuster}&ancost=0.25"
CLICK = "/clktr?id={id}&cachebuster={cachebuster}"

MANY = 4096

END = b"\r\n\r\n"
"""The end of each request of a file; no other part of it contains this."""

_SYSTEMS = (
    "Windows NT 10.0; Win64; x64",
    "Macintosh; Intel Mac OS X 10_15_7",
    "Linux; Android 10; K",
    "X11; Linux x86_64",
)
_HEAD = """GET {target} HTTP/1.1
Host: {host}
Connection: {connection}
sec-ch-ua-platform: "Windows"
User-Agent: Mozilla/5.0 ({system}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{version}.0.0.0 Safari/537.36
sec-ch-ua: "Chromium";v="141", "Not?A_Brand";v="8"
sec-ch-ua-mobile: ?0
Accept: image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8
Sec-Fetch-Site: cross-site
Sec-Fetch-Mode: no-cors
Sec-Fetch-Dest: image
Sec-Fetch-Storage-Access: active
Referer: https://news{site}.example/section/article-{page}
Accept-Encoding: gzip, deflate, br, zstd
Accept-Language: en-US,en;q=0.9

""".replace("\n", "\r\n")


def write_requests(
    path: Path,
    host: str,
    target: str = IMPRESSION,
    ids: Sequence[int] = (531,),
    connection: str = "keep-alive",
    least: int = MANY,
    pages: int = MANY,
) -> Path:
    """Write a file of requests to send in rotation, at least one for each id; every call writes the same.

    Each has a different cachebuster; pages and agents repeat after `pages` requests.
    """
    with path.open("w", newline="") as file:
        for number in range(max(least, len(ids))):
            if number % pages == 0:
                chance = random.Random(531)
            file.write(
                _HEAD.format(
                    target=target.format(id=ids[number % len(ids)], cachebuster=1_000_000_000 + 7919 * number),
                    host=host,
                    connection=connection,
                    system=_SYSTEMS[number % len(_SYSTEMS)],
                    version=100 + chance.randrange(50),
                    site=1 + chance.randrange(200),
                    page=1 + chance.randrange(5000),
                )
            )
    return path


def read_requests(path: Path) -> list[bytes]:
    """Return the requests of a file."""
    return [request + END for request in path.read_bytes().split(END)[:-1]]
