"""`onebyone classify`: what a list of agents, or of events, is made of, by the lists of this installation."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from functools import lru_cache

import orjson

from onebyone.commands.options import write_error
from onebyone.counter.classification.classifier import Classifier
from onebyone.counter.classification.list_folder import ListFolder
from onebyone.settings import Settings

LINE_MAX = 64 * 1024
"""Bytes of a line: an event has a tenth of this, and what follows is read as another line."""
_REMEMBERED = 16_384
"""Agents whose class is remembered, some 10 MB: traffic repeats them thousands of times."""


def print_classes(settings: Settings) -> int:
    """Print the lists in use, then one line for each class, JSON all of them; return the exit code."""
    folder = ListFolder(settings.network_lists_folder, settings.network_lists_days)
    folder.refresh()
    for problem in folder.problems():
        write_error(f"warning: {problem}")
    for used in folder.classifier.lists:
        print(orjson.dumps({"list": used.name, **{k: v for k, v in asdict(used).items() if k != "name"}}).decode())
    try:
        counted = count_classes(folder.classifier, iter(lambda: sys.stdin.buffer.readline(LINE_MAX), b""))
    except KeyboardInterrupt:
        return 130
    for reason, lines in counted.most_common():
        print(orjson.dumps({"reason": reason, "events": lines}).decode())
    return 0


def count_classes(classifier: Classifier, lines: Iterable[bytes]) -> Counter[str]:
    """Return how many lines have which reason; a line that begins with a brace is an event, another one an agent."""

    @lru_cache(maxsize=_REMEMBERED)
    def classify(agent: str, network: str) -> str:
        return classifier.classify_event({"ua": agent, "ip": network})

    counted: Counter[str] = Counter()
    for reason, agent, network in _read_lines(lines):
        counted[reason or classify(agent, network)] += 1
    return counted


def _read_lines(lines: Iterable[bytes]) -> Iterator[tuple[str, str, str]]:
    """Yield the edge's reason, the agent and the network of each line."""
    for line in lines:
        text = line.strip()
        try:
            event = orjson.loads(text) if text.startswith(b"{") else None
        except orjson.JSONDecodeError:
            event = None
        if isinstance(event, dict):
            yield str(event.get("reason", "")), str(event.get("ua", "")), str(event.get("ip", ""))
        else:
            yield "", text.decode("utf-8", "replace"), ""
