"""The delay before a dead process is restarted."""

from __future__ import annotations

import pytest

from onebyone.supervisor.child import next_delay


@pytest.mark.parametrize(
    ("name", "last", "lived", "delay"),
    [
        ("an old process is restarted immediately", 0.0, 60.0, 0.0),
        ("a young one waits a little", 0.0, 1.0, 0.1),
        ("the next one twice as long", 0.1, 1.0, 0.2),
        ("no delay is longer than this", 9.0, 0.0, 10.0),
        ("a long life resets the delay", 10.0, 5.0, 0.0),
    ],
)
def test_next_delay(name: str, last: float, lived: float, delay: float) -> None:
    assert next_delay(last, lived) == delay, name
