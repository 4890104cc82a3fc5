"""`python -m onebyone` is the command `onebyone`."""

from __future__ import annotations

from onebyone.cli import app

app(prog_name="onebyone")
