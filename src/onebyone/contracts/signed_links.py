"""Signed links: a tag whose signature vouches for the target in its `redir` (docs/reasons.md, "Signed links").

The signature is HMAC-SHA256 over `<tracker id>\\n<expiry>\\n<target>`, in base64url without padding. The target is the
bytes that `redir` means: the raw rest of the query string, or its value percent-decoded once.
"""

from __future__ import annotations

import hmac
import re
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple
from urllib.parse import quote

SECRET_BYTES = 32
"""Bytes of a new secret: the output of SHA-256; RFC 2104 advises no less."""
KEY_ID_BYTES = 6
"""Random bytes of a new key id: short in URLs, and no two keys of a member will share one."""
_EXPIRY = re.compile(rb"[1-9][0-9]{0,10}")
"""Seconds since the epoch, in one spelling; the digits reach beyond the year 5000."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key of a member; it has several while keys are rotated."""

    kid: str
    secret: str = field(repr=False)


class Signature(NamedTuple):
    """The parameters of a signed link, percent-decoded and unchecked; empty where one is missing."""

    sig: bytes
    exp: bytes
    kid: bytes


class Verdict(Enum):
    """What a signature says about its link."""

    VALID = "valid"
    INVALID = "invalid"
    EXPIRED = "expired"
    UNKNOWN_KEY = "unknown key"


def new_key() -> SigningKey:
    """Return a random key."""
    return SigningKey(secrets.token_hex(KEY_ID_BYTES), secrets.token_urlsafe(SECRET_BYTES))


def sign(secret: str, tracker_id: int, target: bytes, expiry: int) -> bytes:
    """Return `sig` of a link to `target` that is valid until `expiry`, in seconds since the epoch."""
    message = b"%d\n%d\n%b" % (tracker_id, expiry, target)
    return urlsafe_b64encode(hmac.digest(secret.encode(), message, "sha256")).rstrip(b"=")


def verify(
    signature: Signature, keys: Iterable[SigningKey], tracker_id: int, target: bytes, now_seconds: float
) -> Verdict:
    """Return whether one of the member's keys has signed exactly this link and its time is not over."""
    key = next((key for key in keys if key.kid.encode() == signature.kid), None)
    if key is None:
        return Verdict.UNKNOWN_KEY
    if _EXPIRY.fullmatch(signature.exp) is None:
        return Verdict.INVALID
    expiry = int(signature.exp)
    if not hmac.compare_digest(sign(key.secret, tracker_id, target, expiry), signature.sig):
        return Verdict.INVALID
    return Verdict.VALID if now_seconds < expiry else Verdict.EXPIRED


def signed_url(tag_url: str, key: SigningKey, tracker_id: int, target: str, expiry: int) -> str:
    """Return `tag_url` with the parameters of a signature and its target, percent-encoded: from the raw rest of a query
    string browsers would cut the fragment, and encode what is not ASCII."""
    sig = sign(key.secret, tracker_id, target.encode(), expiry).decode()
    return f"{tag_url}&sig={sig}&exp={expiry}&kid={key.kid}&redir={quote(target, safe='')}"
