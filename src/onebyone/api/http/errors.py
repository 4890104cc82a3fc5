"""Maps every error to its envelope: the one place that knows error ids, codes, statuses and headers of the dialect."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from sqlalchemy.exc import SQLAlchemyError

from onebyone.api.http.methods import METHODS
from onebyone.errors import (
    Conflict,
    DomainError,
    Fault,
    Forbidden,
    ForbiddenOperation,
    LimitReached,
    MissingArgument,
    NotFound,
    Refused,
    TooManyRequests,
    Unauthenticated,
    UnsupportedOperation,
)

FAULTS_MAX = 1000
"""Faults listed in one answer; a megabyte of JSON can hold half a million."""

ErrorId = Literal["SYNTAX", "INTEGRITY", "LIMIT", "NOAUTH", "NOAUTH_DISABLED", "NOAUTH_EXPIRED", "UNAUTH", "SYSTEM"]

_QUERY_OR_OBJECT = "required in the query string or in the object"
_LOGIN_ERRORS: Mapping[str, tuple[ErrorId, int]] = {
    # Some clients log in again only on the status, and others only on the id.
    "no session": ("NOAUTH", 401),
    "wrong password": ("NOAUTH", 401),
    "disabled": ("NOAUTH_DISABLED", 200),
    "expired": ("NOAUTH_EXPIRED", 200),
}
"""Cause of `Unauthenticated` -> error id and status."""


@dataclass(eq=False)
class ApiError(Exception):
    """An answer as the error envelope with HTTP `status`; the face raises it for what only HTTP knows."""

    error_id: ErrorId
    error: str
    error_code: str | None = None
    error_description: str | None = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


def unsupported_method(method: str, service: str) -> ApiError:
    """Return the error for a method that a service does not have."""
    return ApiError("SYNTAX", f"method {method} is not supported by {service}")


def to_api_error(error: Exception) -> ApiError:
    """Return the envelope of any error; one that is neither the face's nor the domain's is internal."""
    match error:
        case ApiError():
            return error
        case DomainError():
            return _domain_error(error)
        case SQLAlchemyError():
            text = "the configuration store is not available"
            return ApiError("SYSTEM", text, error_code="SERVICE_UNAVAILABLE", status=503)
        case _:
            return ApiError("SYSTEM", "internal error", error_code="UNKNOWN", status=500)


def _domain_error(error: DomainError) -> ApiError:
    text = str(error)
    match error:
        case Refused():
            return _refused(error)
        case MissingArgument():
            return ApiError("SYNTAX", _missing_argument_text(error))
        case NotFound():
            code = f"NOTFOUND_{error.service.replace('-', '_').upper()}"
            return ApiError("SYNTAX", text, error_code=code)
        case ForbiddenOperation():
            return ApiError("UNAUTH", f"the user may not {METHODS[error.operation]} {error.service}")
        case UnsupportedOperation():
            return unsupported_method(METHODS[error.operation], error.service)
        case Forbidden():
            return ApiError("UNAUTH", text, error_description=error.reason)
        case Conflict():
            return ApiError("INTEGRITY", text)
        case LimitReached():
            return ApiError("LIMIT", text)
        case Unauthenticated():
            error_id, status = _LOGIN_ERRORS[error.cause]
            return ApiError(error_id, text, status=200 if error.expected else status)
        case TooManyRequests():
            return _too_many_requests(error)
    raise AssertionError(f"no envelope for {type(error).__name__}")


def _refused(error: Refused) -> ApiError:
    """Return one error that lists the faults; a body with an invalid value is a syntax error whatever else is wrong."""
    invalid = any(fault.kind != "conflict" for fault in error.faults)
    lines = [_fault_line(fault) for fault in error.faults[:FAULTS_MAX]]
    if len(error.faults) > FAULTS_MAX:
        lines.append(f"and {len(error.faults) - FAULTS_MAX} more")
    return ApiError("SYNTAX" if invalid else "INTEGRITY", "; ".join(lines))


def _fault_line(fault: Fault) -> str:
    return f"{fault.path}: {_QUERY_OR_OBJECT}" if fault.kind == "no owner" else str(fault)


def _missing_argument_text(error: MissingArgument) -> str:
    if error.argument == "object":
        return f"{error.service}: the body must be an object with this key and an object in it"
    return "id: required in the query string" if error.operation == "delete" else f"id: one id is {_QUERY_OR_OBJECT}"


def _too_many_requests(error: TooManyRequests) -> ApiError:
    """Return the 429 with the headers and the body that clients wait by."""
    return ApiError(
        "SYSTEM",
        str(error),
        error_code="RATE_EXCEEDED",
        error_description="rate limit has been exceeded",
        status=429,
        headers={
            "Retry-After": str(error.retry_after),
            "X-Ratelimit-Code": "429",
            "X-Ratelimit-Count": str(error.made),
            "X-AN-User-Id": str(error.user_id),
        },
    )
