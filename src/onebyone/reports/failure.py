"""Why a report could not be made, in words for its caller."""

from __future__ import annotations


class ReportFailure(Exception):
    """The report ends with execution status `error` and this text."""
