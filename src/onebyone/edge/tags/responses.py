"""The HTTP responses of the tag endpoints: every status, header and body, built once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from onebyone.edge.tags import pages
from onebyone.edge.tags.reasons import Reason

Header = tuple[bytes, bytes]

GIF_BODY = bytes.fromhex("47494638396101000100800000000000ffffff21f90401000000002c00000000010001000002024401003b")
"""A transparent image of one pixel in 43 bytes (GIF89a, two colours, index 0 transparent)."""

SCRIPT_BODY = b"/* OneByOne */\n"
"""A script that does nothing; third-party pixels are to take its place."""

COMMON: tuple[Header, ...] = (
    (b"cache-control", b"no-store, no-cache, must-revalidate, private, max-age=0"),
    (b"pragma", b"no-cache"),
    (b"expires", b"0"),
    (b"cross-origin-resource-policy", b"cross-origin"),
    (b"access-control-allow-origin", b"*"),
    (b"x-content-type-options", b"nosniff"),
)

RECORDED: Header = (b"x-onebyone", b"recorded")
RECORDED_WITHOUT_REDIRECT: Header = (b"x-onebyone", b"recorded; redirect=refused")
IGNORED: dict[Reason, Header] = {
    reason: (b"x-onebyone", b"ignored; reason=%b" % reason.value.encode()) for reason in Reason
}


def verdict_header(reason: Reason | None, redirect_refused: bool = False) -> Header:
    """Return the `X-OneByOne` header: recorded, maybe without following `redir`, or ignored with this reason."""
    if reason is not None:
        return IGNORED[reason]
    return RECORDED_WITHOUT_REDIRECT if redirect_refused else RECORDED


class Response(NamedTuple):
    """An HTTP response without its `X-OneByOne` header."""

    status: int
    headers: tuple[Header, ...]
    block: bytes
    """The headers as they are sent, each line ended by CRLF."""
    body: bytes


def _block(headers: Iterable[Header]) -> bytes:
    return b"".join(b"%b: %b\r\n" % header for header in headers)


_COMMON_BLOCK = _block(COMMON)


def _response(status: int, content_type: bytes, body: bytes, *more: Header) -> Response:
    headers = (*COMMON, (b"content-type", content_type), (b"content-length", b"%d" % len(body)), *more)
    return Response(status, headers, _block(headers), body)


def _page(status: int, body: bytes) -> Response:
    return _response(status, b"text/html; charset=utf-8", body, *pages.HEADERS)


GIF = _response(200, b"image/gif", GIF_BODY)
SCRIPT = _response(200, b"application/javascript", SCRIPT_BODY)
NO_DESTINATION = _page(200, pages.NO_DESTINATION)
NOT_FOUND = _page(404, pages.NOT_FOUND)
TOO_EARLY = _page(425, pages.TOO_EARLY)
"""For a click that the browser prefetches: it discards the response, and asks again when somebody clicks. A redirect
would be used up by the prefetch, and 503 would count as a failure of the backend where a proxy watches for those."""
TRY_AGAIN = _page(503, pages.TRY_AGAIN)
METHOD = _response(405, b"text/plain; charset=utf-8", b"Use GET.\n", (b"allow", b"GET, HEAD"))


GIF_UNAVAILABLE = GIF._replace(status=503)
SCRIPT_UNAVAILABLE = SCRIPT._replace(status=503)


def redirect_response(location: bytes) -> Response:
    """Return a 302 to a target that `locations.to_location` has returned."""
    headers = (*COMMON, (b"location", location), (b"content-length", b"0"))
    return Response(302, headers, b"%blocation: %b\r\ncontent-length: 0\r\n" % (_COMMON_BLOCK, location), b"")


def redirect_notice(location: bytes, status: int = 200) -> Response:
    """Return a page that shows where the link leads and lets the person decide whether to follow it."""
    return _page(status, pages.redirect_notice(location))
