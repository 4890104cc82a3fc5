"""The demo's progress: what was sent, what the edge recorded, and what the report shows once it has counted that."""

from __future__ import annotations

import time

from onebyone.demo.api import Api
from onebyone.demo.guide import REPORT
from onebyone.demo.lifeline import DemoLifeline
from onebyone.demo.traffic import Sender

COUNT_SECONDS = 10.0
"""How long to wait for the counter and the report; both take about a second, on a busy machine a few."""
POLL_SECONDS = 0.2
"""Pause between two looks at a report, which takes about a second; each look is a request to the API."""


class Progress:
    """Compares the demo's own numbers with the report, of which earlier runs may have a share.

    Create it before the first request is sent. Raises `ApiError`, as its method does.
    """

    def __init__(self, api: Api, sender: Sender, lifeline: DemoLifeline) -> None:
        self._api = api
        self._sender = sender
        self._lifeline = lifeline
        self._before = self._counted(time.monotonic() + COUNT_SECONDS) or 0

    def line(self) -> str:
        """Wait, for a bounded time, until the report has everything recorded so far, and return the line to print.

        The caller sends nothing meanwhile, so the numbers are of the same moment.
        """
        recorded = self._sender.recorded
        sent = f"demo: {self._sender.sent} sent, {recorded} recorded"
        deadline = time.monotonic() + COUNT_SECONDS
        while (counted := self._counted(deadline)) is not None:
            counted -= self._before
            if counted >= recorded:
                # A visitor may paste the tags meanwhile, and those requests are counted too.
                others = f", and {counted - recorded} that something else sent" if counted > recorded else ""
                earlier = f", beside {self._before} of earlier runs" if self._before else ""
                return f"{sent}, {recorded} in the report{others}{earlier}"
            self._lifeline.pause(POLL_SECONDS)
        return f"{sent}; the report is still being made"

    def _counted(self, deadline: float) -> int | None:
        """Return the events of a fresh report over all time; None when it is not ready by `deadline`."""
        report_id = self._api.request_report({**REPORT, "columns": ["external_impression", "external_click"]})
        while (rows := self._api.report_rows(report_id)) is None:
            if time.monotonic() > deadline:
                return None
            self._lifeline.pause(POLL_SECONDS)
        if time.monotonic() > deadline:
            return None
        return sum(int(row["external_impression"]) + int(row["external_click"]) for row in rows)
