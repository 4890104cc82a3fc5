"""`onebyone classify`: what a list of agents, or of events, is made of, by the lists of this installation."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import orjson

from onebyone.commands.options import write_error
from onebyone.counter.classification.list_folder import ListFolder
from onebyone.counter.classification.remembered_classes import RememberedClasses
from onebyone.settings import Settings

LINE_MAX = 64 * 1024
"""Bytes of a line: an event has a tenth of this, and what follows is read as another line."""


def print_classes(settings: Settings) -> int:
    """Print the lists in use, then one line for each class, JSON all of them; return the exit code."""
    folder = ListFolder(settings.network_lists_folder, settings.network_lists_days)
    folder.refresh()
    for problem in folder.problems():
        write_error(f"warning: {problem}")
    for used in folder.classifier.lists:
        print(orjson.dumps({"list": used.name, **{k: v for k, v in asdict(used).items() if k != "name"}}).decode())
    try:
        lines = iter(lambda: sys.stdin.buffer.readline(LINE_MAX), b"")
        counted = count_classes(RememberedClasses(folder.classifier), lines)
    except KeyboardInterrupt:
        return 130
    for reason, number in counted.most_common():
        print(orjson.dumps({"reason": reason, "events": number}).decode())
    return 0


def count_classes(classes: RememberedClasses, lines: Iterable[bytes]) -> Counter[str]:
    """Return how many lines have which reason; a line that begins with a brace is an event, another one an agent."""
    counted: Counter[str] = Counter()
    for line in lines:
        event = _parse_line(line.strip())
        counted[str(event.get("reason") or "") or classes.classify_event(event)] += 1
    return counted


def _parse_line(text: bytes) -> dict[str, Any]:
    """Return the event of a line, or one that has only an agent."""
    if text.startswith(b"{"):
        try:
            event: dict[str, Any] = orjson.loads(text)
        except orjson.JSONDecodeError:
            pass
        else:
            return event
    return {"ua": text.decode("utf-8", "replace")}
