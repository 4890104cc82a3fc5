"""One result of the check."""

from __future__ import annotations

from dataclasses import dataclass

from onebyone.runtime.terminal import printable

SET_CLOCKS = "run a time service (chrony, systemd-timesyncd) on all machines"
"""The remedy for clocks that are apart."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, and its state. `remedy` says what to do about a fault; empty: nothing is wrong."""

    subject: str
    text: str
    remedy: str = ""
    skipped: bool = False
    """Whether it could not be looked at, which is no fault."""

    @property
    def wrong(self) -> bool:
        """Whether somebody has to do something."""
        return bool(self.remedy)

    def line(self) -> str:
        """Return the result for people, in one line or two, with all that is not printable escaped."""
        mark = "WRONG" if self.wrong else "skipped" if self.skipped else "ok"
        line = printable(f"{mark:8}{self.subject}: {self.text}")
        return f"{line}\n        do: {printable(self.remedy)}" if self.remedy else line
