"""The log of the embedded server, and what it says about a failed start."""

from __future__ import annotations

import re
from pathlib import Path
from typing import BinaryIO

LONGEST_BYTES = 1_000_000
"""A longer log is deleted at the next start; only the newest start is ever read."""

_PREFIX = re.compile(r"^\d+:\w \S+ \S+ \S+ \S+ ([.\-*#]) ")
_DATA_FILE = re.compile(r"\bAOF\b|append.?only|append log|\bRDB\b", re.IGNORECASE)
_SURROUNDINGS = re.compile(r"permission denied|read-only file system|no space left|input/output error", re.IGNORECASE)


class ServerLog:
    """The log file of one server; its methods answer about the newest start."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._start = 0

    def open(self) -> BinaryIO:
        """Return the file to append to, for a new start."""
        if self._path.exists() and self._path.stat().st_size > LONGEST_BYTES:
            self._path.unlink()
        output = self._path.open("ab")
        self._start = output.tell()
        return output

    def reports_damage(self) -> bool:
        """Return whether the server complained about the content of its data files, not about disk or permissions."""
        complaints = self._complaints()
        return bool(_DATA_FILE.search(complaints)) and not _SURROUNDINGS.search(complaints)

    def complaint(self) -> str:
        """Return the server's complaints as one line of at most 500 characters."""
        return " ".join(self._complaints().split())[-500:] or f"see {self._path}"

    def _complaints(self) -> str:
        log = self._path.read_bytes()[self._start :].decode(errors="replace")
        complaints = []
        for line in log.splitlines():
            prefix = _PREFIX.match(line)
            # A line without a prefix continues a complaint of several lines.
            if prefix is None or (prefix[1] == "#" and "WARNING" not in line):
                complaints.append(line[prefix.end() :] if prefix else line)
        return "\n".join(complaints)
