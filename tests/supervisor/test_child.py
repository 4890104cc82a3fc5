"""How long a dead process waits for its next start."""

from __future__ import annotations

import pytest

from onebyone.supervisor.child import next_delay


@pytest.mark.parametrize(
    ("name", "last", "lived", "delay"),
    [
        ("an old process is started at once", 0.0, 60.0, 0.0),
        ("a young one waits a little", 0.0, 1.0, 0.1),
        ("the next young one twice as long", 0.1, 1.0, 0.2),
        ("never longer than this", 9.0, 0.0, 10.0),
        ("a long life clears the record", 10.0, 5.0, 0.0),
    ],
)
def test_next_delay(name: str, last: float, lived: float, delay: float) -> None:
    assert next_delay(last, lived) == delay, name
