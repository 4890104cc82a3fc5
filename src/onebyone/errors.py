"""Errors that resources, reports and authentication raise; each face, such as the HTTP API, renders them its own way.

They carry facts, never a status, a header or an error code of a protocol.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Operation = Literal["read", "create", "update", "delete"]
"""What callers do with objects."""

LoginCause = Literal["no session", "wrong password", "disabled", "expired"]
"""Why a caller could not be identified, or may not log in."""

FaultKind = Literal["invalid", "conflict", "no owner"]
"""Whether a value is wrong by itself, contradicts what is stored, or is an owner that was not named."""


class DomainError(Exception):
    """The base of all; `str()` gives one sentence for people."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with a request; `path` names the field, as in `publisher.id`."""

    path: str
    text: str
    kind: FaultKind = "invalid"

    def __str__(self) -> str:
        """Return `path: text`; a fault without a path is a documented sentence."""
        return f"{self.path}: {self.text}" if self.path else self.text


class Refused(DomainError):
    """The request has faults; nothing was changed."""

    def __init__(self, *faults: Fault) -> None:
        super().__init__("; ".join(map(str, faults[:10])))
        self.faults = faults


class MissingArgument(DomainError):
    """A write came without the object, or without the id, that it needs."""

    def __init__(self, operation: Operation, service: str, argument: Literal["object", "id"]) -> None:
        super().__init__(f"{argument} required to {operation} {service}")
        self.operation = operation
        self.service = service
        self.argument = argument


class NotFound(DomainError):
    """The caller sees no object of `service` with this id or code, even if another member has one."""

    def __init__(self, service: str, value: int | str, *, key: Literal["id", "code"] = "id") -> None:
        super().__init__(f"{service} {key} not found: {value}")
        self.service = service
        self.value = value
        self.key = key


class Forbidden(DomainError):
    """The caller may not do this; `reason` says which setting forbids it, where that is one."""

    def __init__(self, text: str, *, reason: str | None = None) -> None:
        super().__init__(text)
        self.reason = reason


class ForbiddenOperation(Forbidden):
    """The caller may not run this operation on any object of the service."""

    def __init__(self, operation: Operation, service: str) -> None:
        super().__init__(f"the user may not {operation} {service}")
        self.operation = operation
        self.service = service


class UnsupportedOperation(DomainError):
    """Objects of the service do not have this operation for anybody."""

    def __init__(self, operation: Operation, service: str) -> None:
        super().__init__(f"{service} has no operation {operation}")
        self.operation = operation
        self.service = service


class Conflict(DomainError):
    """The store refused a write that contradicts another object."""


class LimitReached(DomainError):
    """The caller has as many of these as a limit allows."""


class TooManyRequests(DomainError):
    """The caller asks too often; `retry_after` is in seconds, `made` counts the requests of the current window."""

    def __init__(self, text: str, *, retry_after: int, made: int, user_id: int) -> None:
        super().__init__(text)
        self.retry_after = retry_after
        self.made = made
        self.user_id = user_id


class Unauthenticated(DomainError):
    """The caller could not be identified, or may not log in.

    `expected` says that the client of the user reads of the end of its session in an answer like any other.
    """

    def __init__(self, text: str, cause: LoginCause, *, expected: bool = False) -> None:
        super().__init__(text)
        self.cause = cause
        self.expected = expected


def raise_faults(faults: Iterable[Fault]) -> None:
    """Raise one `Refused` with every distinct fault, in order; return when there is none."""
    distinct = tuple(dict.fromkeys(faults))
    if distinct:
        raise Refused(*distinct)
