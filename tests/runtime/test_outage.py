"""An outage is logged once when it begins and once when it ends, and its attempts back off."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from onebyone.runtime.outage import BACKOFF_SECONDS, Outage


def test_pauses_grow_to_the_longest_and_start_again_after_a_success() -> None:
    outage = Outage("away", "back")
    assert [outage.failed(OSError()) for _ in range(7)] == [*BACKOFF_SECONDS, 2.0, 2.0]
    outage.succeeded()
    assert outage.failed(OSError()) == BACKOFF_SECONDS[0]


def test_one_line_at_the_beginning_and_one_at_the_end() -> None:
    outage = Outage("away", "back")
    with capture_logs() as lines:
        outage.succeeded()
        for _ in range(3):
            outage.failed(OSError("refused"), shard=2)
        outage.succeeded(shard=2)
        outage.succeeded(shard=2)
    assert [(line["event"], line["log_level"], line["shard"]) for line in lines] == [
        ("away", "warning", 2),
        ("back", "info", 2),
    ]
    assert lines[0]["error"] == "OSError: refused"


def test_it_lasts_until_every_source_has_succeeded() -> None:
    outage = Outage("away", "back")
    with capture_logs() as lines:
        outage.failed(OSError(), source=1)
        outage.failed(OSError(), source=2)
        outage.succeeded(1)
        assert outage.ongoing
        outage.succeeded(2)
        assert not outage.ongoing
    assert [line["event"] for line in lines] == ["away", "back"]


def test_each_source_backs_off_by_itself() -> None:
    outage = Outage("away", "back", backoff=(1.0, 2.0))
    assert [outage.failed(OSError(), source) for source in (1, 1, 2)] == [1.0, 2.0, 1.0]


@pytest.mark.parametrize(("error", "traced"), [(OSError(), False), (KeyError(), True)])
def test_only_an_unexpected_error_is_logged_with_its_traceback(error: Exception, traced: bool) -> None:
    with capture_logs() as lines:
        Outage("away", "back", expected=(OSError,)).failed(error)
    assert bool(lines[0]["exc_info"]) is traced


def test_an_unexpected_error_is_logged_although_an_expected_one_began_the_outage() -> None:
    outage = Outage("away", "back", expected=(OSError,))
    with capture_logs() as lines:
        for error in (OSError(), KeyError(1), KeyError(2), OSError()):
            outage.failed(error)
        outage.succeeded()
        outage.failed(OSError())
        outage.failed(KeyError(3))
    assert [line.get("error") for line in lines] == ["OSError", "KeyError: 1", None, "OSError", "KeyError: 3"]


def test_a_long_error_is_cut() -> None:
    with capture_logs() as lines:
        Outage("away", "back").failed(OSError("x" * 10_000))
    assert len(lines[0]["error"]) == 300
