"""The documented error of the API: an id that clients branch on, and a text for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

FAULTS_MAX = 1000
"""Faults of one body that are listed; a megabyte of JSON can hold half a million."""

ErrorId = Literal["SYNTAX", "INTEGRITY", "LIMIT", "NOAUTH", "NOAUTH_DISABLED", "NOAUTH_EXPIRED", "UNAUTH", "SYSTEM"]


class ApiError(Exception):
    """Answered as the error envelope with HTTP `status`; `service` and `method` default to those of the request."""

    def __init__(
        self,
        error_id: ErrorId,
        error: str,
        *,
        error_code: str | None = None,
        error_description: str | None = None,
        service: str | None = None,
        method: str | None = None,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{error_id}: {error}")
        self.error_id: ErrorId = error_id
        self.error = error
        self.error_code = error_code
        self.error_description = error_description
        self.service = service
        self.method = method
        self.status = status
        self.headers = dict(headers or {})


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with a request; `path` names the field, as in `publisher.id`."""

    path: str
    text: str
    error_id: ErrorId = "SYNTAX"

    def __str__(self) -> str:
        """The line of the answer; a fault without a path is a documented sentence."""
        return f"{self.path}: {self.text}" if self.path else self.text


def refuse(faults: Iterable[Fault]) -> None:
    """Raises one `ApiError` that lists every fault, each with its path; does nothing when there is none."""
    listed = list(dict.fromkeys(faults))
    if listed:
        error_id: ErrorId = "SYNTAX" if any(fault.error_id == "SYNTAX" for fault in listed) else listed[0].error_id
        lines = [str(fault) for fault in listed[:FAULTS_MAX]]
        if len(listed) > FAULTS_MAX:
            lines.append(f"and {len(listed) - FAULTS_MAX} more")
        raise ApiError(error_id, "; ".join(lines))


def not_found(service: str, object_id: int | str) -> ApiError:
    """The answer for an id that does not exist for this caller, whoever else may own it."""
    code = f"NOTFOUND_{service.replace('-', '_').upper()}"
    return ApiError("SYNTAX", f"{service} id not found: {object_id}", error_code=code)


def not_logged_in() -> ApiError:
    """401, because some clients log in again only on the status and others only on the id."""
    return ApiError("NOAUTH", "Authentication failed - not logged in", status=401)
