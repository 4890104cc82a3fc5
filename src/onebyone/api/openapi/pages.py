"""`/openapi.json` and `/docs`, to read and try the API in a browser without a login: they show no tenant's data.

Swagger UI comes from a pinned package, so that the browser loads nothing from another host.
"""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send
from swagger_ui_bundle import swagger_ui_path  # type: ignore[import-untyped]

from onebyone.api.openapi import document

_HEADERS = {
    # Browsers ask again each time, and get a 304 until a new release changes the content.
    "cache-control": "no-cache",
    "vary": "accept-encoding",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
}
_OWN = {"/docs": ("docs.html", "text/html"), "/docs/start.js": ("start.js", "text/javascript")}
_BUNDLED = {
    "/docs/swagger-ui.css": ("swagger-ui.css", "text/css"),
    "/docs/swagger-ui-bundle.js": ("swagger-ui-bundle.js", "text/javascript"),
    "/docs/favicon.png": ("favicon-32x32.png", "image/png"),
}
PATHS = ("/openapi.json", *_OWN, *_BUNDLED)


@dataclass(frozen=True, slots=True)
class Page:
    """The content of a path, plain and compressed; built once in a process."""

    content: bytes
    compressed: bytes
    media_type: str
    etag: str


@cache
def load_page(path: str) -> Page:
    """Return the page at one of `PATHS`."""
    if path in _OWN:
        name, media_type = _OWN[path]
        content = files("onebyone.api.openapi").joinpath(name).read_bytes()
    elif path in _BUNDLED:
        name, media_type = _BUNDLED[path]
        content = Path(swagger_ui_path, name).read_bytes()
    else:
        content, media_type = document.encoded_document(), "application/json"
    return Page(content, gzip.compress(content, mtime=0), media_type, hashlib.sha256(content).hexdigest()[:32])


class Pages:
    """ASGI application that serves `PATHS`."""

    def __contains__(self, path: str) -> bool:
        """Return whether it serves this path."""
        return path in PATHS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        await self._answer(Request(scope))(scope, receive, send)

    def _answer(self, request: Request) -> Response:
        if request.method not in ("GET", "HEAD"):
            return PlainTextResponse("only GET and HEAD\n", 405, {**_HEADERS, "allow": "GET, HEAD"})
        served = load_page(request.url.path)
        compressed = "gzip" in request.headers.get("accept-encoding", "")
        etag = f'"{served.etag}{"-gzip" if compressed else ""}"'
        headers = {**_HEADERS, "etag": etag, **({"content-encoding": "gzip"} if compressed else {})}
        if etag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        content = served.compressed if compressed else served.content
        return Response(content, headers=headers, media_type=served.media_type)
