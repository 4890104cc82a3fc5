"""One line of the check's report."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at and found. `remedy` says what to do about it; empty: nothing is wrong."""

    subject: str
    text: str
    remedy: str = ""
    skipped: bool = False
    """It could not be looked at, which is no fault."""

    @property
    def wrong(self) -> bool:
        """Whether something has to be done."""
        return bool(self.remedy)

    def line(self) -> str:
        """For people; what came from outside is escaped, so that it is only text on a terminal."""
        mark = "WRONG" if self.wrong else "skipped" if self.skipped else "ok"
        text = f"{mark:8}{self.subject}: {self.text}" + (f"\n        do: {self.remedy}" if self.remedy else "")
        return "".join(char if char.isprintable() or char == "\n" else ascii(char)[1:-1] for char in text)
