"""The token of a request: from the `Authorization` header, or from the cookie that a login sets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, unquote

from starlette.responses import Response

TOKEN_COOKIE = "HBFAPI_SESSID"  # noqa: S105
"""The cookie that carries a token; clients of the original know it by this name."""


@dataclass(frozen=True, slots=True)
class SentToken:
    """The token that came with a request, if any, and whether a browser may have added it by itself."""

    token: str | None
    by_cookie: bool = False


def read_token(headers: Mapping[str, str]) -> SentToken:
    """Return the token in these headers, whose names are in lower case; the header goes before the cookie.

    `Authorization` may hold the token as the cookie does, percent-encoded: some clients copy it from there.
    """
    if "authorization" in headers:
        return SentToken(unquote(headers["authorization"].strip()))
    for part in headers.get("cookie", "").split(";"):
        name, _, value = part.strip().partition("=")
        if name == TOKEN_COOKIE:
            return SentToken(unquote(value), by_cookie=True)
    return SentToken(None)


def set_token_cookie(response: Response, token: str, *, secure: bool) -> None:
    """Add the cookie, which no script reads, no other site sends, and, if `secure`, no plain connection carries."""
    _set_cookie(response, quote(token, safe=""), secure=secure)


def clear_token_cookie(response: Response, *, secure: bool) -> None:
    """Make the browser forget the cookie."""
    _set_cookie(response, "", "; Max-Age=0", secure=secure)


def _set_cookie(response: Response, value: str, age: str = "", *, secure: bool) -> None:
    flags = f"{age}; HttpOnly; SameSite=Strict{'; Secure' if secure else ''}"
    response.headers.append("Set-Cookie", f"{TOKEN_COOKIE}={value}; Path=/{flags}")
