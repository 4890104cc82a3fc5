"""Counts event lines by what they share, without parsing them: the fast way of `BatchTotals`.

A line is cut at the names that an edge writes, and counted by its head and its tail (`event_parts.py`). Cost and
revenue are computed once for each pair and multiplied by the number of its events, which gives the same nanos. A line
in any other form is left to the caller.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

from onebyone.clock import HOUR_MS
from onebyone.contracts.batches import Group
from onebyone.contracts.events import NET, VERSION
from onebyone.counter.classification.remembered_classes import RememberedClasses
from onebyone.counter.event_parts import NO_TAIL, EventParts, Fragment, Tail, page_domain, price, split_line

Hours = dict[tuple[int, tuple[Any, ...], str], list[int]]
"""(Hour, values of `event_parts.KEY`, reason) -> events, cost and revenue, the money in nanos."""
_Counts = defaultdict[Tail, int]
_Known = tuple[_Counts, dict[str, Any] | None]
"""The counts of one head in one hour, and its `Fragment.click`."""

TS_END = 253_402_300_800_000
"""Year 10000; `datetime` cannot express later receive times."""

_IP, _AGENT, _PAGE, _CACHEBUSTER, _NEXT = b',"ip":"', b'","ua":"', b'","ref":"', b'","cb":"', b'","'
_PLAIN = bytes(range(0x20, 0x7F)).replace(b'"', b"").replace(b"\\", b"")
"""Bytes without a meaning of their own in a JSON string: without them, the quotes around strings are what is left."""
_REQUEST = b',"rid":"'
"""Begins the last 25 bytes of a line whose request a proxy has named: a digest in 16 hex digits, which is unique."""
_QUOTE = b'"'
_QUOTES = _QUOTE * 13
"""What is left of a line after `_IP`: each separator has four, and the last closes the cachebuster."""
_QUOTES_BEFORE_TAIL = _QUOTE * 14
"""The same to the beginning of its tail."""


class SharedSums:
    """The sums of what one transaction counts without parsing it."""

    def __init__(
        self,
        parts: EventParts,
        clicks: list[dict[str, Any]],
        requests: list[tuple[str, int]],
        classes: RememberedClasses | None = None,
    ) -> None:
        """Append the rows of clicks to `clicks`, and `rid` and `ts` of the events that have one to `requests`.

        Without `classes`, no event is classified.
        """
        self._parts = parts
        self._classes = classes
        self._tails: dict[tuple[Tail, str], Tail] = {}
        self._clicks = clicks
        self._requests = requests
        self._known: dict[int, dict[bytes, _Known]] = {}
        self._counts: list[tuple[int, Fragment, _Counts]] = []

    @property
    def heads(self) -> int:
        """How many heads, by hour, are counted here: nearly as many sums."""
        return len(self._counts)

    def add(self, group: Group) -> list[int]:
        """Count the lines in the usual form; return the indexes of all others."""
        ts, first_id, lines = group.ts, group.first_id, group.lines
        if group.version != VERSION or ts >= TS_END or first_id + len(lines) > 2**63:
            return list(range(len(lines)))
        hour = ts // HOUR_MS
        heads = self._known.setdefault(hour, {})
        tails = self._parts.tails
        classes = self._classes
        agents, networks = (classes.agents, classes.networks) if classes is not None else ({}, {})
        others: list[int] = []
        for index, line in enumerate(lines):
            request = b""
            if line[-25:-17] == _REQUEST and line[-17:-1].isalnum() and line[-1:] == _QUOTE:
                line, request = line[:-25], line[-17:-1]
            head, _, rest = line.partition(_IP)
            network, _, texts = rest.partition(_AGENT)
            agent, _, texts = texts.partition(_PAGE)
            page, _, texts = texts.partition(_CACHEBUSTER)
            tail: Tail | None = NO_TAIL
            quotes = _QUOTES
            if _NEXT in texts:
                _, _, text = texts.partition(_NEXT)
                tail = tails.get(text)
                rest = rest[: -len(text)]
                quotes = _QUOTES_BEFORE_TAIL
            elif texts[-1:] != _QUOTE:
                tail = None
            known = heads.get(head)
            if known is None or tail is None or rest.translate(None, _PLAIN) != quotes:
                found = self._find(hour, line)
                if found is None:
                    others.append(index)
                    continue
                known, tail, page, agent, network = found
            counts, click = known
            if classes is not None and tail.reason == NET:
                traffic = agents.get(agent)
                if traffic == NET:
                    traffic = networks.get(network)
                if traffic is None:
                    traffic = classes.classify(agent, network)
                if traffic:
                    tail = self._classified(tail, traffic)
            counts[tail] += 1
            if request:
                self._requests.append((request.decode(), ts))
            if click is not None and tail.reason == NET:
                row = click.copy()
                row["event_id"] = first_id + index
                row["ts"] = ts
                row["site_domain"] = page_domain(page)
                row["ancost"] = tail.ancost
                row["user_id"] = tail.user_id
                self._clicks.append(row)
        return others

    def _find(self, hour: int, line: bytes) -> tuple[_Known, Tail, bytes, bytes, bytes] | None:
        """Return the counts of the line's head, its tail, page, agent and network; None if it has no such parts."""
        parts = split_line(line)
        if parts is None:
            return None
        head, network, agent, page, text = parts
        tail = NO_TAIL if text is None else self._parts.tail(text)
        known = self._known[hour].get(head) or self._start(hour, head)
        return None if tail is None or known is None else (known, tail, page, agent, network)

    def _classified(self, tail: Tail, traffic: str) -> Tail:
        """Return a tail that says the same, of events of this class."""
        classified = self._tails.get((tail, traffic))
        if classified is None:
            classified = Tail(tail.ancost, tail.reason, tail.user_id, traffic)
            self._tails[tail, traffic] = classified
        return classified

    def _start(self, hour: int, head: bytes) -> _Known | None:
        """Return new counts for a head in an hour; None if it is none."""
        fragment = self._parts.fragment(head)
        if fragment is None:
            return None
        counts: _Counts = defaultdict(int)
        self._counts.append((hour, fragment, counts))
        self._known[hour][head] = known = (counts, fragment.click)
        return known

    def move_to(self, hours: Hours, kinds: Counter[str]) -> None:
        """Add all counts, with their money, to sums by hour and to the number of events by kind; forget them here."""
        for hour, fragment, counts in self._counts:
            for tail, events in counts.items():
                cost, revenue = price(fragment, tail)
                add_sums(
                    hours, (hour, fragment.key, tail.reason or tail.traffic), events, cost * events, revenue * events
                )
                kinds[fragment.kind] += events
        self._known = {}
        self._counts = []
        self._tails = {}


def add_sums(hours: Hours, key: tuple[int, tuple[Any, ...], str], events: int, cost: int, revenue: int) -> None:
    """Add events, cost and revenue to one of the sums."""
    sums = hours.get(key)
    if sums is None:
        hours[key] = [events, cost, revenue]
    else:
        sums[0] += events
        sums[1] += cost
        sums[2] += revenue
