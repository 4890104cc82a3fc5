"""The memo of bounded size."""

from __future__ import annotations

from onebyone.runtime.bounded_memo import BoundedMemo


def test_bounded_memo_evicts_the_oldest() -> None:
    memo: BoundedMemo[bytes, int] = BoundedMemo(16)
    for number in range(100):
        memo.remember(b"%d" % number, number)
        memo.remember(b"%d" % number, number)
        assert len(memo) <= 16
    assert all(memo[b"%d" % number] == number for number in range(87, 100))
