"""Exit codes that another process acts on."""

from __future__ import annotations

BAD_SETTINGS = 2
"""A setting is missing or wrong; the process has named it in one line. Also what a shell expects of bad options."""
REFUSED = 3
"""A role cannot run as configured and has said why in one line: starting it again would not help."""
