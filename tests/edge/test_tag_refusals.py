"""Malformed requests to a tag: what is answered and what is measured."""

from __future__ import annotations

from typing import Any, cast

import pytest

from onebyone.edge import metrics
from onebyone.edge.recorder import Recorder
from onebyone.edge.tag_refusals import TagRefusals
from onebyone.edge.tags.responses import GIF_BODY, SCRIPT_BODY
from onebyone.runtime.request_head import MalformedRequest, RefusedTarget
from onebyone.settings import Settings


@pytest.mark.parametrize(
    ("path", "query", "kind", "body"),
    [
        (b"/imptr", b"id=1", "imp", GIF_BODY),
        (b"/imptr", b"id=1&t=1", "imp", SCRIPT_BODY),
        (b"//%49MPTR", b"\x00\xff", "imp", GIF_BODY),
        (b"/clktr", b"id=1&redir=https://landing.example/", "clk", b"<title>This link is not known"),
        (b"/readyz", b"", None, b"This is not a valid HTTP request."),
        (b"", b"", None, b"This is not a valid HTTP request."),
    ],
)
def test_an_answer_and_its_metrics(path: bytes, query: bytes, kind: str | None, body: bytes) -> None:
    refusals = TagRefusals(Recorder(Settings(), cast(Any, None), cast(Any, None), cast(Any, None)))
    counters = [metrics.MALFORMED, *(metrics.IGNORED.labels(each, "bad_request") for each in ("imp", "clk"))]
    before = [counter._value.get() for counter in counters]
    answer = refusals.answer(MalformedRequest("no host", 431), RefusedTarget(b"GET", path, query))
    assert [counter._value.get() - old for counter, old in zip(counters, before, strict=True)] == [
        1,
        int(kind == "imp"),
        int(kind == "clk"),
    ]
    headers = dict(answer.headers)
    assert answer.status == 431
    assert body in answer.body
    assert headers[b"content-length"] == b"%d" % len(answer.body)
    assert headers.get(b"x-onebyone") == (b"ignored; reason=bad_request" if kind else None)
    assert b"location" not in headers
