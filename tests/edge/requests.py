"""Requests as browsers send them to a tag."""

from __future__ import annotations

BROWSER = (
    b"Host: tags.example\r\n"
    b"Connection: keep-alive\r\n"
    b'sec-ch-ua-platform: "Windows"\r\n'
    b"User-Agent: Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/141.0.0.0 Safari/537.36\r\n"
    b'sec-ch-ua: "Chromium";v="141"\r\n'
    b"sec-ch-ua-mobile: ?0\r\n"
    b"Accept: image/avif,image/webp,*/*;q=0.8\r\n"
    b"Sec-Fetch-Site: cross-site\r\n"
    b"Sec-Fetch-Mode: no-cors\r\n"
    b"Sec-Fetch-Dest: image\r\n"
    b"Referer: https://news.example/%d\r\n"
    b"Accept-Encoding: gzip, deflate, br, zstd\r\n"
    b"Accept-Language: en-US,en;q=0.9\r\n\r\n"
)


def impression(number: int) -> bytes:
    """Return the request for an impression that Chrome sends, with this cachebuster."""
    tag = b"id=531&t=2&cachebuster=%d&ancost=0.25" % number
    return b"GET /imptr?" + tag + b" HTTP/1.1\r\n" + BROWSER % number


HEAD = b"GET /imptr?id=531 HTTP/1.1\r\nHost: t\r\n"
