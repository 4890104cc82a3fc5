"""Brakes on guessing passwords: delays per name and peer, places per peer, bounded memory."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from onebyone.auth import login_guard
from onebyone.auth.login_guard import LoginGuard, LoginsDelayed, PeerCrowded


@dataclass
class Clock:
    """A clock that tests set, in seconds."""

    seconds: float = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def guard(clock: Clock) -> LoginGuard:
    return LoginGuard(clock)


def guess(guard: LoginGuard, username: str = "admin", address: str = "192.0.2.1") -> float:
    """Make one wrong guess; return 0, or how long it has to wait."""
    try:
        with guard.admit(username, address):
            return 0.0
    except LoginsDelayed as delay:
        return delay.seconds


def log_in(guard: LoginGuard, username: str = "admin", address: str = "192.0.2.1") -> bool:
    """Log in with the right password; return whether it was admitted."""
    try:
        with guard.admit(username, address) as refund:
            refund()
            guard.forgive(username, address)
            return True
    except LoginsDelayed:
        return False


@pytest.mark.parametrize("kind", ["one name", "many names", "many peers"])
def test_a_minute_of_guesses(guard: LoginGuard, clock: Clock, kind: str) -> None:
    free = {"one name": 10, "many names": 30, "many peers": 50}[kind]
    admitted = 0
    for number in range(600):
        name = f"user{number}" if kind == "many names" else "ADMIN" if number % 2 else "admin"
        address = f"198.51.{number // 250}.{number % 250}" if kind == "many peers" else "192.0.2.1"
        admitted += guess(guard, name, address) == 0
        clock.seconds += 0.1
    assert free <= admitted <= free + 7
    clock.seconds += login_guard.DELAY_MAX_SECONDS
    assert log_in(guard)


@pytest.mark.parametrize("address", ["2001:db8::1", "::ffff:192.0.2.9", "not an address", ""])
def test_every_address_is_a_peer(guard: LoginGuard, address: str) -> None:
    assert [guess(guard, "a", address) for _ in range(10)] == [0.0] * 10
    assert guess(guard, "a", "2001:db8::2" if address == "2001:db8::1" else address) > 0
    assert guess(guard, "a", "192.0.2.200") == 0


def test_strangers_do_not_keep_a_known_user_out(guard: LoginGuard) -> None:
    assert log_in(guard)
    for number in range(500):
        guess(guard, "admin", f"198.51.100.{number % 250}")
        guess(guard, f"user{number}", "192.0.2.1")
    assert guess(guard, "other") > 0
    assert guess(guard, "admin", "203.0.113.1") > 0
    assert log_in(guard)
    assert [guess(guard) for _ in range(10)] == [0.0] * 10
    assert guess(guard) > 0


def test_own_logins_do_not_reset_the_delay_of_a_peer(guard: LoginGuard, clock: Clock) -> None:
    admitted = 0
    for number in range(3600):
        log_in(guard, "mallory")
        admitted += guess(guard, f"user{number}") == 0
        clock.seconds += 1
    assert admitted < 30 + 7 + 3600 / login_guard.DELAY_MAX_SECONDS


def test_right_passwords_cost_nothing(guard: LoginGuard) -> None:
    assert all(log_in(guard, f"user{number % 40}") for number in range(500))


def test_failures_are_forgotten(guard: LoginGuard, clock: Clock) -> None:
    for _ in range(20):
        guess(guard)
    clock.seconds += login_guard.FORGET_SECONDS + login_guard.DELAY_MAX_SECONDS
    assert [guess(guard) for _ in range(10)] == [0.0] * 10


def test_places_of_a_peer(guard: LoginGuard) -> None:
    with ExitStack() as under_way:
        for number in range(login_guard.PEER_PLACES):
            under_way.enter_context(guard.admit(f"user{number}", "192.0.2.1"))
        with pytest.raises(PeerCrowded), guard.admit("other", "192.0.2.1"):
            pass
        with guard.admit("other", "192.0.2.2"):
            pass
    with guard.admit("other", "192.0.2.1"):
        pass
    assert guard._under_way == Counter()


def test_memory_is_bounded(guard: LoginGuard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(login_guard, "ENTRIES_MAX", 100)
    for number in range(1000):
        guess(guard, "\ud800" * 256 + str(number), f"198.51.{number // 250}.{number % 250}")
        log_in(guard, f"user{number}", f"203.0.{number // 250}.{number % 250}")
    assert len(guard._failures) <= 100
    assert len(guard._known) <= 100
