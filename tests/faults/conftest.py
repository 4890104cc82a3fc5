"""The table of all experiments at the end of a run."""

from __future__ import annotations

import pytest

from tests.faults.oracle import VERDICTS, table


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Prints it when an experiment ran."""
    if VERDICTS:
        terminalreporter.section("faults")
        for line in table(VERDICTS):
            terminalreporter.write_line(line)
