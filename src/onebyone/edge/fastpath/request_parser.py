"""Parses the requests that browsers send to a tag: complete, plain, and nothing after them.

`parse` takes what one read has returned. It accepts fewer requests than HTTP allows, and never reads one differently
from uvicorn: when in doubt it declines, and uvicorn's protocol gets the same bytes.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from onebyone.contracts.events import Kind
from onebyone.edge.tags import client, query
from onebyone.edge.tags.client import Client
from onebyone.edge.tags.decision import HEADERS
from onebyone.edge.tags.paths import PATHS
from onebyone.edge.tags.query import Tag
from onebyone.runtime.bounded_memo import BoundedMemo
from onebyone.runtime.request_head import HOST
from onebyone.runtime.trusted_proxies import FORWARDING_HEADERS

HEAD_MAX = 16_384
"""Bytes of the longest head that is accepted; no browser sends a longer one to a tag."""

_REQUEST_LINE = re.compile(rb"GET (/[a-z]+)\?([!-\"$-~]+) HTTP/1\.1\r\n")
_HEADER = re.compile(rb"([A-Za-z0-9-]+): ([!-~\x80-\xff][\t -~\x80-\xff]*(?<![ \t]))")
_KINDS: dict[bytes, Kind] = {path.encode(): kind for path, kind in PATHS.items()}
_NOT_PLAIN = (
    *(b"host", b"connection", b"content-length", b"transfer-encoding", b"upgrade", b"expect", b"proxy-connection"),
)
"""Headers that change how uvicorn or its HTTP parser reads the bytes."""
_CLOSE, _HOST = (b"connection", b"close"), (b"host", b"")
_VARYING = (b"referer", *FORWARDING_HEADERS)
"""Headers whose values are new in most requests."""

Header = tuple[bytes, bytes]


class ParsedTagRequest(NamedTuple):
    """A plain tag request."""

    kind: Kind
    tag: Tag
    client: Client
    referrer: bytes
    """As a JSON member of an event line with a comma in front; empty without the header."""
    close: bool
    """Whether the client asks to close the connection after the response."""


class _HeaderLines(BoundedMemo[bytes, Header | None]):
    """Header lines that were parsed before: name and value, or None if the edge ignores the header.

    A line that is not plain raises `ValueError`.
    """

    _MAX_BYTES = 256
    """A longer line is rarely sent twice; a full memo stays below two megabytes."""

    def __missing__(self, line: bytes) -> Header | None:
        match = _HEADER.fullmatch(line)
        if match is None:
            raise ValueError(line)
        name, value = match[1].lower(), match[2]
        header = (name, value) if name in HEADERS else None
        if name == b"connection" and value.lower() == b"close":
            header = _CLOSE
        elif name == b"host" and HOST.fullmatch(value) is not None:
            header = _HOST
        elif name in _NOT_PLAIN and (name, value.lower()) != (b"connection", b"keep-alive"):
            raise ValueError(line)
        # They would evict everything else.
        if len(line) <= self._MAX_BYTES and name not in _VARYING:
            self.remember(line, header)
        return header


_lines = _HeaderLines()


def parse_request(data: bytes) -> ParsedTagRequest | None:
    """Return the plain tag request that `data` consists of; None for anything else."""
    if data[-4:] != b"\r\n\r\n" or len(data) > HEAD_MAX:
        return None
    match = _REQUEST_LINE.match(data)
    if match is None or (kind := _KINDS.get(match[1])) is None:
        return None
    headers: dict[bytes, bytes] = {}
    try:
        for line in data[match.end() : -2].split(b"\r\n")[:-1]:
            if (header := _lines[line]) is not None:
                if header[0] in headers:
                    # uvicorn and the ASGI application decide which of the two counts.
                    return None
                headers[header[0]] = header[1]
    except ValueError:
        return None
    if b"host" not in headers:
        return None
    referrer = headers.get(b"referer")
    return ParsedTagRequest(
        kind=kind,
        tag=query.parse_tag(match[2]),
        client=client.parse_client(headers),
        referrer=b"" if referrer is None else client.referrer_member(referrer),
        close=b"connection" in headers,
    )


def split_headers(data: bytes) -> list[Header]:
    """Return all headers of a plain request, their names in lower case."""
    lines = (line.partition(b": ") for line in data[:-4].split(b"\r\n")[1:])
    return [(name.lower(), value) for name, _, value in lines]
