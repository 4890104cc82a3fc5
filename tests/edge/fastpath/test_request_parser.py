"""Which requests the fast path accepts, and what it parses from them."""

from __future__ import annotations

import pytest

from onebyone.edge.fastpath import request_parser
from onebyone.edge.tags import query
from tests.edge.requests import HEAD, impression

PLAIN = [
    ("browser", impression(1)),
    ("least", b"GET /imptr?id=531 HTTP/1.1\r\nHost: t\r\n\r\n"),
    ("other case", b"GET /clktrb?id=1 HTTP/1.1\r\nHOST: t\r\nuSER-aGENT: x\r\n\r\n"),
    ("keep-alive", HEAD + b"connection: Keep-Alive\r\n\r\n"),
    ("close", HEAD + b"Connection: close\r\n\r\n"),
    ("high bytes in a value", HEAD + b"User-Agent: \xc3\xa9\xff\r\n\r\n"),
    ("unknown header", HEAD + b"X-Anything: a: b\tc\r\n\r\n"),
]

DECLINED = [
    ("nothing", b""),
    ("no header", b"GET /imptr?id=531 HTTP/1.1\r\n\r\n"),
    ("no Host", b"GET /imptr?id=531 HTTP/1.1\r\nUser-Agent: x\r\n\r\n"),
    ("two Hosts", HEAD + b"host: t\r\n\r\n"),
    ("invalid Host", b"GET /imptr?id=531 HTTP/1.1\r\nHost: a b\r\n\r\n"),
    ("half a head", HEAD),
    ("half an end", HEAD + b"\r"),
    ("two requests", impression(1) + impression(2)),
    ("a request and a half", impression(1) + HEAD),
    ("leading line", b"\r\n" + impression(1)),
    ("HEAD", impression(1).replace(b"GET", b"HEAD", 1)),
    ("POST", impression(1).replace(b"GET", b"POST", 1)),
    ("lower-case method", impression(1).replace(b"GET", b"get", 1)),
    ("HTTP/1.0", impression(1).replace(b"HTTP/1.1", b"HTTP/1.0", 1)),
    ("absolute form", impression(1).replace(b"/imptr", b"http://tags.example/imptr", 1)),
    ("other path", impression(1).replace(b"/imptr", b"/readyz", 1)),
    ("path in upper case", impression(1).replace(b"/imptr", b"/IMPTR", 1)),
    ("encoded path", impression(1).replace(b"/imptr", b"/%69mptr", 1)),
    ("version in a header", b"GET /imptr?id=531 HTTP/1.0\r\nX-A: b HTTP/1.1\r\n\r\n"),
    ("no query", b"GET /imptr HTTP/1.1\r\nHost: t\r\n\r\n"),
    ("empty query", b"GET /imptr? HTTP/1.1\r\nHost: t\r\n\r\n"),
    ("fragment", b"GET /imptr?id=531#a HTTP/1.1\r\nHost: t\r\n\r\n"),
    ("blank in the target", b"GET /imptr?id=531 &t=2 HTTP/1.1\r\nHost: t\r\n\r\n"),
    ("high byte in the target", b"GET /imptr?id=531&x=\xff HTTP/1.1\r\nHost: t\r\n\r\n"),
    ("two blanks", b"GET  /imptr?id=531 HTTP/1.1\r\nHost: t\r\n\r\n"),
    ("folded", HEAD + b"X-A: b\r\n c\r\n\r\n"),
    ("bare LF", HEAD + b"X-A: b\nX-B: c\r\n\r\n"),
    ("bare CR", HEAD + b"X-A: b\rX-B: c\r\n\r\n"),
    ("control byte", HEAD + b"X-A: b\x00c\r\n\r\n"),
    ("no colon", HEAD + b"X-A\r\n\r\n"),
    ("blank before the colon", HEAD + b"X-A : b\r\n\r\n"),
    ("no blank after the colon", HEAD + b"X-A:b\r\n\r\n"),
    ("padded value", HEAD + b"X-A:  b\r\n\r\n"),
    ("value with a trailing blank", HEAD + b"X-A: b \r\n\r\n"),
    ("empty value", HEAD + b"X-A: \r\n\r\n"),
    ("odd name", HEAD + b"X_A!: b\r\n\r\n"),
    ("body", HEAD + b"Content-Length: 4\r\n\r\nabcd"),
    ("body that ends like a head", HEAD + b"Content-Length: 4\r\n\r\n\r\n\r\n"),
    ("empty body", HEAD + b"Content-Length: 0\r\n\r\n"),
    ("chunked", HEAD + b"Transfer-Encoding: chunked\r\n\r\n"),
    ("upgrade", HEAD + b"Upgrade: h2c\r\n\r\n"),
    ("expect", HEAD + b"Expect: 100-continue\r\n\r\n"),
    ("close and keep", HEAD + b"Connection: close\r\nConnection: keep-alive, close\r\n\r\n"),
    ("connection list", HEAD + b"Connection: keep-alive, Upgrade\r\n\r\n"),
    ("proxy connection", HEAD + b"Proxy-Connection: keep-alive\r\n\r\n"),
    ("agent twice", HEAD + b"User-Agent: a\r\nuser-agent: b\r\n\r\n"),
    ("huge", HEAD + b"X-A: " + b"a" * request_parser.HEAD_MAX + b"\r\n\r\n"),
]


@pytest.mark.parametrize("data", [row[1] for row in PLAIN], ids=[row[0] for row in PLAIN])
def test_plain_request_is_parsed(data: bytes) -> None:
    assert request_parser.parse_request(data) is not None


@pytest.mark.parametrize("data", [row[1] for row in DECLINED], ids=[row[0] for row in DECLINED])
def test_other_request_is_declined(data: bytes) -> None:
    assert request_parser.parse_request(data) is None
    assert request_parser.parse_request(data) is None, "also when its header lines are remembered"


def test_parts_of_a_plain_request() -> None:
    request = request_parser.parse_request(impression(7))
    assert request is not None
    assert (request.kind, request.close) == ("imp", False)
    assert request.tag == query.Tag(531, False, b',"cb":"7"', b"0.25", {}, None, ())
    assert request.client.agent.startswith(b',"ua":"Mozilla/5.0 ')
    assert request.client[1:] == (False, None, False, False)
    assert request.referrer == b',"ref":"https://news.example/7"'


REFERRERS = [
    ("none", b"Host: t\r\n", b""),
    ("first", b"Referer: a\r\nHost: t\r\n", b"a"),
    ("in the middle", b"Host: t\r\nReferer: a\r\nAccept: b\r\n", b"a"),
    ("last", b"Host: t\r\nReferer: a\r\n", b"a"),
    ("other case", b"Host: t\r\nREFERER: a\r\n", b"a"),
    ("inside a value", b"Host: t\r\nX-A: Referer: b\r\nReferer: a\r\n", b"a"),
]


@pytest.mark.parametrize(("headers", "page"), [row[1:] for row in REFERRERS], ids=[row[0] for row in REFERRERS])
def test_referrer_is_found_in_any_position(headers: bytes, page: bytes) -> None:
    request = request_parser.parse_request(b"GET /imptr?id=531 HTTP/1.1\r\n" + headers + b"\r\n")
    assert request is not None
    assert request.referrer == (b',"ref":"%b"' % page if page else b"")


ODD_REFERRERS = [
    ("twice", b"Referer: a\r\nReferer: b\r\n"),
    ("twice, other case", b"Host: t\r\nReferer: a\r\nreferer: b\r\n"),
    ("empty", b"Host: t\r\nReferer: \r\n"),
    ("trailing blank", b"Host: t\r\nReferer: a \r\n"),
    ("bare LF", b"Host: t\r\nReferer: a\nX-A: b\r\n"),
    ("control byte", b"Host: t\r\nReferer: a\x00b\r\n"),
]


@pytest.mark.parametrize("headers", [row[1] for row in ODD_REFERRERS], ids=[row[0] for row in ODD_REFERRERS])
def test_odd_referrer_is_declined(headers: bytes) -> None:
    data = b"GET /imptr?id=531 HTTP/1.1\r\n" + headers + b"\r\n"
    assert [request_parser.parse_request(data) for _ in range(2)] == [None, None]
