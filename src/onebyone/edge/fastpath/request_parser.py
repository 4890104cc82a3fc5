"""Recognises the request that browsers send to a tag: complete, plain, and nothing behind it.

`read` looks at whole reads and never at a parser's work. When in doubt it declines.
"""

from __future__ import annotations

import re
from itertools import islice
from typing import TypeVar

from onebyone.contracts.events import Kind
from onebyone.edge.tags import client, query
from onebyone.edge.tags.client import Client
from onebyone.edge.tags.decision import HEADERS, PATHS
from onebyone.edge.tags.query import Tag

HEAD_MAX = 16_384
"""Bytes of a head that is looked at; a longer one is nothing that a browser sends to a tag."""

_LINE = re.compile(rb"GET (/[a-z]+)\?([!-\"$-~]+) HTTP/1\.1\r\n")
_HEADER = re.compile(rb"([A-Za-z0-9-]+): ([!-~\x80-\xff][\t -~\x80-\xff]*(?<![ \t]))")
_KINDS: dict[bytes, Kind] = {path.encode(): kind for path, kind in PATHS.items()}
_NOT_PLAIN = (b"connection", b"content-length", b"transfer-encoding", b"upgrade", b"expect", b"proxy-connection")
"""Headers that change what the bytes mean, for uvicorn or for its parser."""
_CLOSE = (b"connection", b"close")

Header = tuple[bytes, bytes]
Key = TypeVar("Key")
Seen = TypeVar("Seen")

ParsedTagRequest = tuple[Kind, Tag, Client, bytes, bytes | None, bool]
"""A plain tag request: kind, tag, visitor, referrer (member of an event line), the value of `X-Forwarded-For`, whether
the client wants the connection closed."""


class BoundedMemo(dict[Key, Seen]):
    """What came before was read as this; it forgets an eighth, the oldest, rather than grow."""

    def __init__(self, most: int = 4096) -> None:
        super().__init__()
        self._most = most

    def remember(self, read: Key, seen: Seen) -> None:
        """From now on it is known."""
        if len(self) >= self._most and read not in self:
            for oldest in list(islice(self, self._most // 8 + 1)):
                del self[oldest]
        self[read] = seen


class _HeaderLines(BoundedMemo[bytes, Header | None]):
    """Header lines that came before: what is read of them, None: nothing. What is not plain is a `ValueError`."""

    _LONGEST = 256

    def __missing__(self, line: bytes) -> Header | None:
        match = _HEADER.fullmatch(line)
        if match is None:
            raise ValueError(line)
        name, value = match[1].lower(), match[2]
        header = (name, value) if name in HEADERS else None
        if name == b"connection" and value.lower() == b"close":
            header = _CLOSE
        elif name in _NOT_PLAIN and (name, value.lower()) != (b"connection", b"keep-alive"):
            raise ValueError(line)
        # What names the page or the client is new with each request, and others' would give way to it.
        if len(line) <= self._LONGEST and name not in (b"referer", b"x-forwarded-for"):
            self.remember(line, header)
        return header


_lines = _HeaderLines()


def parse(data: bytes) -> ParsedTagRequest | None:
    """The plain tag request that `data` is, whole; None for everything else."""
    if data[-4:] != b"\r\n\r\n" or len(data) > HEAD_MAX:
        return None
    match = _LINE.match(data)
    if match is None or (kind := _KINDS.get(match[1])) is None:
        return None
    headers: dict[bytes, bytes] = {}
    try:
        for line in data[match.end() : -2].split(b"\r\n")[:-1]:
            if (header := _lines[line]) is not None:
                if header[0] in headers:
                    # Which of two counts is not for the fast way to say.
                    return None
                headers[header[0]] = header[1]
    except ValueError:
        return None
    referrer = headers.get(b"referer")
    return (
        kind,
        query.parse(match[2]),
        client.parse(headers),
        b"" if referrer is None else client.referrer_member(referrer),
        headers.get(b"x-forwarded-for"),
        b"connection" in headers,
    )
