"""Answers malformed requests to a tag as a tag: with the pixel or the page, a reason, and a metric."""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

from onebyone.edge import metrics
from onebyone.edge.recorder import Recorder
from onebyone.edge.tags import paths, query
from onebyone.runtime.refusals import Refusals, RefusedAnswer
from onebyone.runtime.request_head import MalformedRequest, RefusedTarget


class TagRefusals(Refusals):
    """The malformed requests of one edge process."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__()
        self._recorder = recorder

    def answer(self, malformed: MalformedRequest, target: RefusedTarget) -> RefusedAnswer:
        """Return what the page or the person gets who asked for a tag; for any other path what every server answers."""
        metrics.MALFORMED.inc()
        kind = paths.similar_kind(unquote_to_bytes(target.path).decode("latin-1"))
        if kind is None:
            return super().answer(malformed, target)
        decision = self._recorder.decide_malformed(kind, query.parse_tag(target.query), malformed.status)
        headers = (*decision.response.headers, decision.verdict)
        return RefusedAnswer(decision.response.status, headers, decision.response.body)
