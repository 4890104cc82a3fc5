"""HTTP methods in another case than their own: some clients send `put`, which a strict parser refuses."""

from __future__ import annotations

METHODS = frozenset((b"GET", b"POST", b"PUT", b"DELETE", b"HEAD", b"PATCH", b"OPTIONS"))
"""Methods that mean the same in any case; others reach the parser as they came."""


def with_upper_case_method(line: bytes) -> bytes:
    """Return a request line with its method in upper case if it is one of `METHODS`."""
    method, blank, rest = line.partition(b" ")
    return method.upper() + blank + rest if method.upper() in METHODS else line
