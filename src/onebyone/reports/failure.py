"""Why a report has no file."""

from __future__ import annotations

from onebyone.errors import DomainError


class ReportFailure(DomainError):
    """The report could not be made; the message says why."""


class ReportNotReady(DomainError):
    """The report is still being made."""
