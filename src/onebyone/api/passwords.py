"""argon2 in a thread, two at a time, so that a flood of logins can not take memory and both cores."""

from __future__ import annotations

from functools import cache

import anyio.to_thread
from anyio import CapacityLimiter
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

_hasher = PasswordHasher()


@cache
def _limiter() -> CapacityLimiter:
    return CapacityLimiter(2)


async def hash_password(password: str) -> str:
    """The encoded argon2id hash."""
    return await anyio.to_thread.run_sync(_hasher.hash, password, limiter=_limiter())


@cache
def _dummy() -> str:
    return _hasher.hash("nobody has this password")


def _verify(encoded: str | None, password: str) -> bool:
    try:
        return _hasher.verify(encoded or _dummy(), password) and encoded is not None
    except (VerificationError, InvalidHashError):
        return False


async def verify(encoded: str | None, password: str) -> bool:
    """Whether `password` is the hashed one; takes as long for a user that does not exist (None)."""
    return await anyio.to_thread.run_sync(_verify, encoded, password, limiter=_limiter())
