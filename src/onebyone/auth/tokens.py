"""Session tokens: how they look, and the digest that the store keeps instead of them."""

from __future__ import annotations

import hashlib
import re
import secrets

TOKEN_MAX = 200
"""Longest text that is looked up: several times the length of a token."""

_DATACENTER = "obo1"
"""Last part of each token; clients of the original split tokens at their colons."""
_TOKEN = re.compile(rf"hbapi:([0-9]{{1,18}}):[0-9a-f]{{32}}:{_DATACENTER}", re.ASCII)


def new_token(user_id: int) -> str:
    """Return a random token, `hbapi:USER:RANDOM:DATACENTER`."""
    return f"hbapi:{user_id}:{secrets.token_hex(16)}:{_DATACENTER}"


def claimed_user_id(token: str) -> int | None:
    """Return the user that a token names, None if it has not the form of one. Anybody can write such a token."""
    match = _TOKEN.fullmatch(token)
    return None if match is None else int(match[1])


def token_digest(token: str) -> str:
    """Return the SHA-256 by which the store knows the token, so that a copy of the store lets nobody in."""
    return hashlib.sha256(token.encode()).hexdigest()
