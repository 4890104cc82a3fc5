"""Hash and verify passwords with argon2, in few threads, so that a flood of logins cannot take all memory and cores.

New passwords have a thread of their own: they are hashed inside a write, which must not queue after strangers' logins.
"""

from __future__ import annotations

from functools import cache

import anyio.to_thread
from anyio import CapacityLimiter
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

WAITING_LOGINS_MAX = 20
"""Logins that may queue, about two seconds' worth of hashing; clients give up on a longer wait."""

_VERIFY_THREADS = 2
"""argon2 takes a core and 64 MiB for each login under way."""

_hasher = PasswordHasher()


class TooManyLogins(Exception):
    """The queue of logins is full."""


@cache
def _verify_limiter() -> CapacityLimiter:
    return CapacityLimiter(_VERIFY_THREADS)


@cache
def _hash_limiter() -> CapacityLimiter:
    return CapacityLimiter(1)


async def hash_password(password: str) -> str:
    """Return the encoded argon2id hash."""
    return await anyio.to_thread.run_sync(_hasher.hash, password, limiter=_hash_limiter())


async def verify_password(encoded: str | None, password: str) -> bool:
    """Return whether `password` matches the hash; None, an unknown user, takes as long and never matches.

    Raise `TooManyLogins` when `WAITING_LOGINS_MAX` wait already.
    """
    if _verify_limiter().statistics().tasks_waiting >= WAITING_LOGINS_MAX:
        raise TooManyLogins
    return await anyio.to_thread.run_sync(_verify, encoded, password, limiter=_verify_limiter())


async def verify_old_password(encoded: str, password: str) -> bool:
    """Return whether `password` matches the hash; for use inside a write, as `hash_password` is."""
    return await anyio.to_thread.run_sync(_verify, encoded, password, limiter=_hash_limiter())


def _verify(encoded: str | None, password: str) -> bool:
    try:
        return _hasher.verify(encoded or _unmatched_hash(), password) and encoded is not None
    except (VerificationError, InvalidHashError):
        return False


@cache
def _unmatched_hash() -> str:
    return _hasher.hash("nobody has this password")
