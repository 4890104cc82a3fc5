"""Why the product cannot start, as one clear line instead of a traceback."""

from __future__ import annotations


class StartFault(Exception):
    """The product cannot start; the text is the line to print, `exit_code` that of the command."""

    def __init__(self, text: str, exit_code: int = 1) -> None:
        super().__init__(text)
        self.exit_code = exit_code
