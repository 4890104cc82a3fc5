"""What the embedded server prints, and what it says about why it did not start."""

from __future__ import annotations

import re
from pathlib import Path
from typing import BinaryIO

LONGEST_BYTES = 1_000_000
"""A longer log is emptied at the next start."""

_PREFIX = re.compile(r"^\d+:\w \S+ \S+ \S+ \S+ ([.\-*#]) ")
_DATA_FILE = re.compile(r"\bAOF\b|append.?only|append log|\bRDB\b", re.IGNORECASE)
_SURROUNDINGS = re.compile(r"permission denied|read-only file system|no space left|input/output error", re.IGNORECASE)


class ServerLog:
    """The log file of one server; questions are about the newest start."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._start = 0

    def open(self) -> BinaryIO:
        """The file to append to, for a new start."""
        if self._path.exists() and self._path.stat().st_size > LONGEST_BYTES:
            self._path.unlink()
        output = self._path.open("ab")
        self._start = output.tell()
        return output

    def tells_of_damage(self) -> bool:
        """Whether the server complained about what its data files hold, and not about disk or rights."""
        complaints = self._complaints()
        return bool(_DATA_FILE.search(complaints)) and not _SURROUNDINGS.search(complaints)

    def last_words(self) -> str:
        """The server's complaints as one line."""
        return " ".join(self._complaints().split())[-500:] or f"see {self._path}"

    def _complaints(self) -> str:
        text = self._path.read_bytes()[self._start :].decode(errors="replace")
        kept = []
        for line in text.splitlines():
            prefix = _PREFIX.match(line)
            # Lines without a prefix belong to a complaint in several lines.
            if prefix is None or (prefix[1] == "#" and "WARNING" not in line):
                kept.append(line[prefix.end() :] if prefix else line)
        return "\n".join(kept)
