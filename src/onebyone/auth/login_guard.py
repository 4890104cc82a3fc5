"""Brakes on guessing passwords, applied before a hash is paid for: a delay per user name and per peer, places per peer.

A user who has logged in from a peer before has only the pair of both to answer for; otherwise strangers who guess the
name, or guess from the same address, could keep the user out. Each process counts alone and forgets what it counted at
its end. An attempt is charged when it is admitted, so that guesses under way count too, and refunded when the password
was right.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from onebyone.runtime.client_address import UNKNOWN, parse_address

PAIR_FREE = 10
"""Failures of one user name from one peer without a delay: people mistype, and scripts start several at a time."""
PEER_FREE = 30
"""Failures from one peer without a delay: an office shares an address."""
USER_FREE = 50
"""Failures of one user name from all peers without a delay."""
DELAY_MAX_SECONDS = 60.0
"""The delay doubles from one second up to this, which leaves a guesser 1,440 attempts a day."""
FORGET_SECONDS = 15 * 60.0
"""Failures are forgotten this long after the last one."""
PEER_PLACES = 8
"""Logins that one peer may have under way: less than half of the queue, so that no peer fills it."""
ENTRIES_MAX = 20_000
"""Names and peers that are remembered, in a few megabytes; beyond them the oldest is forgotten."""


class LoginsDelayed(Exception):
    """This user name or peer has failed too often; `seconds` say how long it has to wait."""

    def __init__(self, seconds: float, failures: int) -> None:
        super().__init__(f"{failures} failed logins")
        self.seconds = seconds
        self.failures = failures


class PeerCrowded(Exception):
    """The peer has all of its places under way."""


@dataclass(slots=True)
class _Failures:
    count: int = 0
    latest: float = 0.0
    admitted_from: float = 0.0


class LoginGuard:
    """Counts failed logins; `clock` gives monotonic seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: OrderedDict[Hashable, _Failures] = OrderedDict()
        self._known: OrderedDict[Hashable, None] = OrderedDict()
        self._under_way: Counter[str] = Counter()

    @contextmanager
    def admit(self, username: str, address: str) -> Iterator[Callable[[], None]]:
        """Charge one attempt, and yield a function that refunds it. Raise `LoginsDelayed` or `PeerCrowded`."""
        user, peer = _digest(username.casefold()), _peer(address)
        keys: list[tuple[Hashable, int]] = [((user, peer), PAIR_FREE)]
        if (user, peer) not in self._known:
            keys += [(peer, PEER_FREE), (user, USER_FREE)]
        self._require_no_delay([key for key, _ in keys])
        if self._under_way[peer] >= PEER_PLACES:
            raise PeerCrowded
        charged = [(key, self._charge(key, free)) for key, free in keys]

        def refund() -> None:
            for key, delayed_until in charged:
                self._refund(key, delayed_until)

        self._under_way[peer] += 1
        try:
            yield refund
        finally:
            self._under_way[peer] -= 1
            if not self._under_way[peer]:
                del self._under_way[peer]

    def forgive(self, username: str, address: str) -> None:
        """Note that this user has logged in from this peer, and forget the failures of the pair."""
        pair = (_digest(username.casefold()), _peer(address))
        self._failures.pop(pair, None)
        self._known[pair] = None
        self._known.move_to_end(pair)
        if len(self._known) > ENTRIES_MAX:
            self._known.popitem(last=False)

    def _require_no_delay(self, keys: list[Hashable]) -> None:
        now = self._clock()
        delayed = [found for key in keys if (found := self._failures.get(key)) and found.admitted_from > now]
        if delayed:
            longest = max(delayed, key=lambda found: found.admitted_from)
            raise LoginsDelayed(longest.admitted_from - now, longest.count)

    def _charge(self, key: Hashable, free: int) -> float:
        """Count a failure, and return until when the next attempt is delayed."""
        now = self._clock()
        found = self._failures.get(key)
        if found is None or now - found.latest > FORGET_SECONDS:
            found = self._failures[key] = _Failures()
        found.count += 1
        found.latest = now
        if found.count >= free:
            # The exponent has a bound of its own: the power of a long attack is no longer a float.
            found.admitted_from = now + min(DELAY_MAX_SECONDS, 2.0 ** min(found.count - free, 10))
        self._failures.move_to_end(key)
        if len(self._failures) > ENTRIES_MAX:
            self._failures.popitem(last=False)
        return found.admitted_from

    def _refund(self, key: Hashable, delayed_until: float) -> None:
        found = self._failures.get(key)
        if found is not None:
            found.count = max(0, found.count - 1)
            if found.admitted_from == delayed_until:
                # The delay is this attempt's own, since a later failure would have prolonged it.
                found.admitted_from = 0.0


def _digest(username: str) -> bytes:
    # Of a fixed size, whatever is sent as a name.
    return hashlib.blake2b(username.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _peer(address: str) -> str:
    """Return the address, or the /64 of an IPv6 address, which one host can have to itself.

    All clients whose address is not known count as one.
    """
    parsed = parse_address(address)
    if parsed is None:
        return UNKNOWN
    return str(parsed) if parsed.version == 4 else parsed.packed[:8].hex()
