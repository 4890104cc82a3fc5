"""What stops the supervisor with one clear line instead of a traceback."""

from __future__ import annotations


class StartFault(Exception):
    """The product cannot start; the text is the line to print."""
