"""argon2 in a thread, two at a time, so that a flood of logins can not take memory and both cores.

New passwords have a place of their own: they are hashed inside a write, which must not queue behind strangers' logins.
"""

from __future__ import annotations

from functools import cache

import anyio.to_thread
from anyio import CapacityLimiter
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

_hasher = PasswordHasher()


WAITING = 20
"""Logins that may wait for their turn, about two seconds' worth; more are turned away."""


class Crowded(Exception):
    """Too many logins wait already."""


@cache
def _logins() -> CapacityLimiter:
    return CapacityLimiter(2)


@cache
def _changes() -> CapacityLimiter:
    return CapacityLimiter(1)


async def hash_password(password: str) -> str:
    """The encoded argon2id hash."""
    return await anyio.to_thread.run_sync(_hasher.hash, password, limiter=_changes())


@cache
def _dummy() -> str:
    return _hasher.hash("nobody has this password")


def _verify(encoded: str | None, password: str) -> bool:
    try:
        return _hasher.verify(encoded or _dummy(), password) and encoded is not None
    except (VerificationError, InvalidHashError):
        return False


async def verify(encoded: str | None, password: str) -> bool:
    """Whether `password` is the hashed one; takes as long for a user that does not exist (None). Raises `Crowded`."""
    if _logins().statistics().tasks_waiting >= WAITING:
        raise Crowded
    return await anyio.to_thread.run_sync(_verify, encoded, password, limiter=_logins())
