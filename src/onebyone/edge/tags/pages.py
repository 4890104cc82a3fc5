"""The few pages that a person sees after a click that cannot redirect."""

from __future__ import annotations

from html import escape

HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
)


def _page(title: str, body: str) -> bytes:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width"><meta name="robots" content="noindex">'
        f"<title>{title}</title><style>body{{font:1rem/1.5 sans-serif;max-width:36rem;margin:15vh auto;padding:0 1rem}}"
        f"a{{overflow-wrap:anywhere}}</style></head><body><h1>{title}</h1>{body}</body></html>\n"
    ).encode()


NO_DESTINATION = _page("This link has no destination", "<p>No landing page has been set for it.</p>")
NOT_FOUND = _page("This link is not known", "<p>It may have been removed, or was copied in part.</p>")
TOO_EARLY = _page("This link has not been followed yet", '<p><a href="" rel="nofollow">Follow it now.</a></p>')
"""The empty link leads to the address of the page itself, so nothing of the request is repeated in it."""
TRY_AGAIN = _page("Please try again in a moment", "<p>This link cannot be followed right now.</p>")


def redirect_notice(location: bytes) -> bytes:
    """Return a page with the target as an escaped link, without an automatic jump. `location` is ASCII, http(s)."""
    target = escape(location.decode("ascii"), quote=True)
    return _page(
        "You are leaving this site",
        f"<p>This link wants to take you to a page that its owner has not approved:</p>"
        f'<p><a rel="noreferrer noopener nofollow" href="{target}">{target}</a></p>',
    )
