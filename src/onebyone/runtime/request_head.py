"""Reads the head of a request before the HTTP parser does, so that the parser gets one message at a time.

The parser alone would take an offer to upgrade as the end of HTTP: it hides the body, which then arrives as the next
request. HTTP allows a server to ignore the offer (RFC 9110, 7.8), so the header is dropped. It would also refuse bytes
whose meaning is certain: raw characters in a query string, which a browser would percent-encode, and control bytes in
a header that frames nothing (RFC 9110, 5.5). What is ambiguous is refused: nothing here guesses where a message ends.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from onebyone.runtime.method_case import METHODS, with_upper_case_method

HEAD_MAX = 65_536
"""Bytes of request line and headers after which a request is refused; common proxies pass on half as many at most."""
HEADERS_MAX = 100
"""Headers of one request: each takes in memory up to fifty times its bytes. Browsers and proxies send about thirty."""

_BLANK_LINES = re.compile(rb"[\r\n]*")
_END = re.compile(rb"\n\r?\n")
"""The end of a head. A head with bare line feeds is refused, but it has to be recognised as complete."""
_END_LENGTH = 3
_BEGINNING = re.compile(rb"[A-Za-z-]{1,20} +(?:[/*hH].*)?", re.DOTALL)
"""What an incomplete head may look like, or it is the beginning of a method; anything else, TLS for example, is refused
without waiting for the rest."""
_METHOD_PREFIXES = frozenset(method[:length] for method in METHODS for length in range(1, len(method) + 1))
_BEGINNING_LENGTH = 32
"""Bytes that decide it: a method, a blank and the first byte of a target."""
_TARGET = re.compile(rb"([A-Za-z-]{1,20}) +(?:[Hh][Tt][Tt][Pp][Ss]?://[^/?#\s]*)?(/[^\s?#]*)(?:\?([^\r\n]*))?")
"""Method, path and the rest of a request line, which need not be valid."""
_QUERY_LINE = re.compile(
    rb"([A-Z-]{1,20} +[!->@-~]+\?)([^\x00-\x08\x0a-\x1f\x7f]*[^\x00-\x20\x7f])([ \t]+HTTP/1\.[01])"
)
"""A request line whose query string may hold raw bytes, blanks and tabs; the part before it is printable ASCII."""
_ENCODED = re.compile(rb"[^!-~]")
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
"""Control bytes but for tab, carriage return and line feed."""
_NOT_CONTROL = bytes(byte for byte in range(256) if _CONTROL.match(bytes([byte])) is None)
_PRINTABLE = bytes(range(0x20, 0x7F))
HOST = re.compile(rb"[A-Za-z0-9._~%!$&'()*+,;=:\[\]-]*")
"""What `Host` may consist of (RFC 3986, 3.2.2), with a port."""
_LENGTH = re.compile(rb"[0-9]{1,18}")
_CODINGS = re.compile(rb"(?:[a-z-]+[ \t]*,[ \t]*)*chunked", re.IGNORECASE)
"""Transfer codings whose last one ends the body; any other would leave its end open."""
_ONCE = frozenset((b"host", b"content-length", b"transfer-encoding"))
"""Headers of which a second one would leave open where the request belongs or ends."""
_UNCHANGED = frozenset((*_ONCE, b"connection", b"proxy-connection", b"expect"))
"""Headers that decide how the bytes on a connection are read: a control byte in them is refused."""


class MalformedRequest(Exception):
    """A request that is refused before the application sees it."""

    def __init__(self, fault: str, status: int = 400) -> None:
        """`fault` says in a few words what is wrong, for the log."""
        super().__init__(fault)
        self.fault = fault
        self.status = status


class RequestHead(NamedTuple):
    """A head whose end and whose body's end are certain."""

    data: bytes
    """Request line and headers up to and including the blank line, for the HTTP parser."""
    content_length: int
    """Bytes of the body; 0 if it is chunked."""
    chunked: bool


class RefusedTarget(NamedTuple):
    """What the request line of a refused request says, as far as it can be read."""

    method: bytes
    path: bytes
    """As it was sent; empty if there is none."""
    query: bytes


def skip_blank_lines(unread: bytes, start: int) -> int:
    """Return where the next head begins: blank lines before it mean nothing (RFC 9112, 2.2)."""
    return _BLANK_LINES.match(unread, start).end()  # type: ignore[union-attr]


def find_end(unread: bytes, start: int, searched: int) -> int:
    """Return where the head that begins at `start` ends; 0 if it is incomplete. Raise `MalformedRequest` if it is too
    long or can never become a head. It is known to have no end before `searched`."""
    found = _END.search(unread, max(start, searched - _END_LENGTH), start + HEAD_MAX)
    if found is not None:
        return found.end()
    if len(unread) - start >= HEAD_MAX:
        raise MalformedRequest("head too long", 431)
    beginning = unread[start : start + _BEGINNING_LENGTH]
    if _BEGINNING.fullmatch(beginning) is None and beginning.upper() not in _METHOD_PREFIXES:
        raise MalformedRequest("not HTTP")
    return 0


def read_head(head: bytes) -> RequestHead:
    """Return the head as the HTTP parser is to get it. Raise `MalformedRequest`. The parser checks what is left."""
    line_ends = head.count(b"\r\n")
    if not (line_ends == head.count(b"\r") == head.count(b"\n")) or b"\n " in head or b"\n\t" in head:
        # Half a line ending, or a line that continues the one before: proxies disagree on what they mean.
        raise MalformedRequest("line ending")
    line, *headers = head[:-4].split(b"\r\n")
    if len(headers) > HEADERS_MAX:
        raise MalformedRequest("too many headers", 431)
    line = with_upper_case_method(line)
    has_control = bool(head.translate(None, _NOT_CONTROL))
    kept: list[bytes] = []
    once: dict[bytes, bytes] = {}
    for header in headers:
        name, _, value = header.partition(b":")
        name = name.lower()
        if name == b"upgrade":
            continue
        if name in _ONCE:
            if name in once:
                raise MalformedRequest(f"repeated {name.decode()}")
            once[name] = value.strip(b" \t")
        if has_control and name not in _UNCHANGED and _CONTROL.search(value) is not None:
            header = header[: -len(value)] + _CONTROL.sub(b" ", value)
        kept.append(header)
    _check_host(line, once.get(b"host"))
    length, codings = once.get(b"content-length"), once.get(b"transfer-encoding")
    if line.startswith(b"CONNECT ") or (codings is not None and (length is not None or not _is_chunked(line, codings))):
        raise MalformedRequest("framing")
    if length is not None and _LENGTH.fullmatch(length) is None:
        raise MalformedRequest("content-length")
    data = b"\r\n".join((_encode_query(line), *kept, b"", b""))
    return RequestHead(data, int(length or 0), codings is not None)


def read_target(head: bytes) -> RefusedTarget:
    """Return method, path and query of a head that is refused. Accepts any bytes."""
    match = _TARGET.match(head)
    if match is None:
        return RefusedTarget(head.partition(b" ")[0][:20], b"", b"")
    method, path, query = match.groups()
    return RefusedTarget(method, path, (query or b"").rpartition(b" HTTP/")[0] or query or b"")


def _check_host(line: bytes, host: bytes | None) -> None:
    if host is None:
        if line.endswith(b"HTTP/1.1"):
            raise MalformedRequest("no host")
    elif HOST.fullmatch(host) is None:
        raise MalformedRequest("host")


def _is_chunked(line: bytes, codings: bytes) -> bool:
    # HTTP/1.0 knows no codings: a proxy that passes them on may see another end of the body (RFC 9112, 6.1).
    return line.endswith(b"HTTP/1.1") and _CODINGS.fullmatch(codings) is not None


def _encode_query(line: bytes) -> bytes:
    """Percent-encode what a browser would have encoded in the query string."""
    if line.count(b" ") == 2 and not line.translate(None, _PRINTABLE):
        return line
    match = _QUERY_LINE.fullmatch(line)
    if match is None:
        return line
    return match[1] + _ENCODED.sub(lambda byte: b"%%%02X" % byte[0][0], match[2]) + match[3]
