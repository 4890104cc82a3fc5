"""What of a head is changed, kept and refused before the HTTP parser gets it."""

from __future__ import annotations

import pytest

from onebyone.runtime.request_head import HEAD_MAX, MalformedRequest, RequestHead, find_end, read_head, read_target

LINE, HOST, END = b"GET /a?b=c HTTP/1.1\r\n", b"Host: t\r\n", b"\r\n"
HEAD = LINE + HOST + END


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        (b"?b=caf\xc3\xa9", b"?b=caf%C3%A9"),
        (b"?b=caf\xe9&c=\xff", b"?b=caf%E9&c=%FF"),
        (b"?b=a b", b"?b=a%20b"),
        (b"?b=a \t b&c=%20", b"?b=a%20%09%20b&c=%20"),
        (b"?b=a?b#c d", b"?b=a?b#c%20d"),
        (b"?b=a HTTP/1.1", b"?b=a%20HTTP/1.1"),
        (b'?%zz&"<>\\^`{|}', b'?%zz&"<>\\^`{|}'),
    ],
)
@pytest.mark.parametrize("version", [b"HTTP/1.1", b"HTTP/1.0"])
def test_raw_bytes_in_a_query_string_are_percent_encoded(sent: bytes, read: bytes, version: bytes) -> None:
    line = b"GET /a%b " + version + b"\r\n" + HOST + END
    assert read_head(line % sent).data == line.replace(b"%b", read, 1)


@pytest.mark.parametrize(
    "line",
    [
        b"GET /a\xc3\xa9?b=c HTTP/1.1",
        b"GET /a b?c HTTP/1.1",
        b"GET /a?b\x00 HTTP/1.1",
        b"GET /a?b\x1f HTTP/1.1",
        b"GET /a?b\x7f\xff HTTP/1.1",
        b"GET /a?\xff HTTP/1.2",
        b"GET /a?b=c",
        b"GET  /a?b=c  HTTP/1.1",
        b"GET /a?b= HTTP/1.1 ",
    ],
)
def test_any_other_request_line_is_left_to_the_parser(line: bytes) -> None:
    assert read_head(line + b"\r\n" + HOST + END).data == line + b"\r\n" + HOST + END


@pytest.mark.parametrize(
    ("header", "read"),
    [
        (b"Upgrade: h2c\r\n", b""),
        (b"uPGRADE:x\x00y\r\nUpgrade: \r\n", b""),
        (b"X-Upgrade: a\r\n", b"X-Upgrade: a\r\n"),
        (b"User-Agent: a\x01b\x7f\x00\x1b[c\r\n", b"User-Agent: a b   [c\r\n"),
        (b"X: a\tb\r\n", b"X: a\tb\r\n"),
        (b"X\x01: a\r\n", b"X\x01: a\r\n"),
        (b"Connection: a\x01b\r\n", b"Connection: a\x01b\r\n"),
    ],
)
def test_headers(header: bytes, read: bytes) -> None:
    assert read_head(LINE + HOST + header + END).data == LINE + HOST + read + END


@pytest.mark.parametrize(
    ("headers", "content_length", "chunked"),
    [
        (b"", 0, False),
        (b"Content-Length: 0\r\n", 0, False),
        (b"content-LENGTH:\t007 \r\n", 7, False),
        (b"Transfer-Encoding: Chunked\r\n", 0, True),
        (b"Transfer-Encoding: gzip, chunked\r\n", 0, True),
    ],
)
def test_the_length_of_the_body(headers: bytes, content_length: int, chunked: bool) -> None:
    head = LINE + HOST + headers + END
    assert read_head(head) == RequestHead(head, content_length, chunked)


@pytest.mark.parametrize(
    ("head", "fault"),
    [
        (LINE + END, "no host"),
        (LINE + HOST + HOST + END, "repeated host"),
        (LINE.replace(b"1.1", b"1.0") + HOST + b"hOST: u\r\n" + END, "repeated host"),
        (LINE + b"Host: a b\r\n" + END, "host"),
        (LINE + b"Host: a/b\r\n" + END, "host"),
        (LINE + b"Host: a\x01\r\n" + END, "host"),
        (LINE + b"Host: caf\xc3\xa9\r\n" + END, "host"),
        (LINE + HOST + b"X: a\n\r\n", "line ending"),
        (b"GET / HTTP/1.1\n\n", "line ending"),
        (LINE + HOST + b"X: a\rY: b\r\n" + END, "line ending"),
        (LINE + HOST + b"X: a\r\n b\r\n" + END, "line ending"),
        (LINE + HOST + b"Upgrade: a\r\n\tb\r\n" + END, "line ending"),
        (LINE + b" x\r\n" + HOST + END, "line ending"),
        (LINE + HOST + b"Content-Length: 1\r\ncontent-length: 1\r\n" + END, "repeated content-length"),
        (LINE + HOST + b"Content-Length: +1\r\n" + END, "content-length"),
        (LINE + HOST + b"Content-Length: 1, 1\r\n" + END, "content-length"),
        (LINE + HOST + b"Content-Length:\r\n" + END, "content-length"),
        (LINE + HOST + b"Content-Length: " + b"9" * 19 + b"\r\n" + END, "content-length"),
        (LINE + HOST + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n" + END, "framing"),
        (LINE + HOST + b"Transfer-Encoding: gzip\r\n" + END, "framing"),
        (LINE + HOST + b"Transfer-Encoding: chunked, gzip\r\n" + END, "framing"),
        (LINE + HOST + b"Transfer-Encoding: xchunked\x0b\r\n" + END, "framing"),
        (LINE + HOST + b"Transfer-Encoding:\r\n" + END, "framing"),
        (LINE.replace(b"1.1", b"1.0") + b"Transfer-Encoding: chunked\r\n" + END, "framing"),
        (b"CONNECT t:1 HTTP/1.1\r\n" + HOST + END, "framing"),
    ],
)
def test_ambiguous_heads_are_refused(head: bytes, fault: str) -> None:
    with pytest.raises(MalformedRequest) as caught:
        read_head(head)
    assert (caught.value.fault, caught.value.status) == (fault, 400)


@pytest.mark.parametrize("head", [b"GET / HTTP/1.0\r\n\r\n", b"GET /\r\n\r\n", LINE + b"Host:\r\n\r\n"])
def test_heads_without_a_name_of_the_host(head: bytes) -> None:
    assert read_head(head).data == head


@pytest.mark.parametrize(
    ("unread", "end"),
    [
        (HEAD, len(HEAD)),
        (HEAD + b"\r\n\r\n", len(HEAD)),
        (b"GET / HTTP/1.1\n\nrest", 16),
        (b"GET / HTTP/1.1\nX: a\n\r\nrest", 22),
        (HEAD[:-1], 0),
        (b"G", 0),
        (b"get /imptr?i", 0),
        (b"pu", 0),
        (b"Delet", 0),
        (b"OPTIONS", 0),
        (b"PROPFIND /", 0),
        (b"GET" + b" " * 100, 0),
    ],
)
def test_the_end_of_a_head(unread: bytes, end: int) -> None:
    assert find_end(unread, 0, 0) == end
    assert find_end(unread, 0, max(0, end - 1)) == end
    assert find_end(b"before" + unread, 6, 0) == (6 + end if end else 0)


@pytest.mark.parametrize(
    "unread",
    [b"\x16\x03\x01\x02", b"\x00GET /", b"garbage", b"GARBAGE", b"GET garbage", b"{", b" GET / HTTP/1.1", b"\xff" * 50],
)
def test_what_cannot_become_a_request_is_refused_at_once(unread: bytes) -> None:
    with pytest.raises(MalformedRequest, match="not HTTP"):
        find_end(unread, 0, 0)


@pytest.mark.parametrize("end", [b"", END])
def test_a_head_that_is_too_long(end: bytes) -> None:
    head = LINE + HOST + b"X: " + b"a" * (HEAD_MAX - len(LINE + HOST) - 7) + END
    assert find_end(head + end, 0, 0) == (len(head) + 2 if end else 0)
    with pytest.raises(MalformedRequest) as caught:
        find_end(head.replace(b"X", b"Longer") + end, 0, 0)
    assert caught.value.status == 431


@pytest.mark.parametrize(
    ("head", "target"),
    [
        (HEAD, (b"GET", b"/a", b"b=c")),
        (b"GET http://t:1/a?b=c d\x00 HTTP/1.2\r\n", (b"GET", b"/a", b"b=c d\x00")),
        (b"get /a", (b"get", b"/a", b"")),
        (b"POST /a\xff?b", (b"POST", b"/a\xff", b"b")),
        (b"CONNECT t:1 HTTP/1.1", (b"CONNECT", b"", b"")),
        (b"\x16\x03\x01", (b"\x16\x03\x01", b"", b"")),
        (b"", (b"", b"", b"")),
    ],
)
def test_the_target_of_a_refused_request(head: bytes, target: tuple[bytes, bytes, bytes]) -> None:
    assert read_target(head) == target
