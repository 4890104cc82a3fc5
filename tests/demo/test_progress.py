"""The demo's line of progress: it waits for the report, and never shows less than what was counted."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import cast

import pytest

from onebyone.demo import progress as progress_module
from onebyone.demo.api import Api
from onebyone.demo.lifeline import DemoLifeline
from onebyone.demo.progress import Progress
from onebyone.demo.traffic import Sender


class ReportApi:
    """Answers with reports of these numbers of events, one after another; None: still being made."""

    def __init__(self, reports: Sequence[int | None]) -> None:
        self.reports = list(reports)

    def request_report(self, report: dict[str, object]) -> str:
        return "id"

    def report_rows(self, report_id: str) -> list[dict[str, str]] | None:
        events = self.reports.pop(0) if len(self.reports) > 1 else self.reports[0]
        if events is None:
            return None
        return [{"external_impression": str(events), "external_click": "0"}] if events else []


@pytest.mark.parametrize(
    ("reports", "line"),
    [
        ([0, 5], "demo: 6 sent, 5 recorded, 5 in the report"),
        ([0, None, None, 5], "demo: 6 sent, 5 recorded, 5 in the report"),
        ([0, 0, 3, None, 5], "demo: 6 sent, 5 recorded, 5 in the report"),
        ([None, 7, 12], "demo: 6 sent, 5 recorded, 5 in the report, beside 7 of earlier runs"),
        ([0, 8], "demo: 6 sent, 5 recorded, 5 in the report, and 3 that something else sent"),
        ([0, None], "demo: 6 sent, 5 recorded; the report is still being made"),
        ([0, 4], "demo: 6 sent, 5 recorded; the report is still being made"),
    ],
    ids=["counted", "being made", "lagging", "second run", "pasted tags", "never made", "never up to date"],
)
def test_line(reports: list[int | None], line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_module, "COUNT_SECONDS", 0.05)
    monkeypatch.setattr(progress_module, "POLL_SECONDS", 0.001)
    sender = cast(Sender, SimpleNamespace(sent=6, recorded=5))
    monkeypatch.delenv("ONEBYONE_LIFELINE_FD", raising=False)
    assert Progress(cast(Api, ReportApi(reports)), sender, DemoLifeline()).line() == line
