"""Wrong guesses of an old password: how many, for how long, and what is remembered of them."""

from __future__ import annotations

import pytest

from onebyone.auth.wrong_passwords import WINDOW_MS, WRONG_MAX, WrongPasswords
from onebyone.errors import TooManyRequests

NOW_MS = 1_800_000_000_000


def test_guesses_are_limited_for_a_window() -> None:
    guesses = WrongPasswords()
    for _ in range(WRONG_MAX):
        guesses.require_room(1, NOW_MS)
        guesses.note(1, NOW_MS)
    with pytest.raises(TooManyRequests):
        guesses.require_room(1, NOW_MS + WINDOW_MS - 1)
    guesses.require_room(2, NOW_MS)
    guesses.require_room(1, NOW_MS + WINDOW_MS)


def test_a_clock_that_was_ahead_locks_nobody_out() -> None:
    guesses = WrongPasswords()
    for _ in range(WRONG_MAX):
        guesses.note(1, NOW_MS + 10 * WINDOW_MS)
    guesses.require_room(1, NOW_MS)


def test_users_are_forgotten_after_the_window() -> None:
    guesses = WrongPasswords()
    for user_id in range(1000):
        guesses.note(user_id, NOW_MS)
    guesses.note(5000, NOW_MS + WINDOW_MS)
    assert list(guesses._wrong) == [5000]
