"""The list of robots: the tagged patterns of the package crawler-user-agents, matched together by RE2."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import re2
from crawleruseragents import CRAWLER_USER_AGENTS_DATA

from onebyone.contracts.traffic_classes import TrafficClass
from onebyone.counter.classification.lists import ListVersion

PACKAGE = "crawler-user-agents"

AGENT_MAX = 512
"""Characters of an agent that are looked at; the edge keeps no more of them."""
MEMORY_MAX = 64 * 1024 * 1024
"""Bytes of the automaton for all patterns: eight times RE2's default, which holds today's 1,500."""

_CLASSES = {
    tag: TrafficClass("ad_verification" if tag == "advertising" else tag.replace("-", "_"))
    for tag in (
        "academic",
        "advertising",
        "ai-crawler",
        "archiver",
        "browser-automation",
        "feed-reader",
        "http-library",
        "monitoring",
        "scanner",
        "search-engine",
        "seo",
        "social-preview",
    )
}
"""The tags of the list. Robots that verify ads are apart from those that crawl."""

_PRECEDENCE = {member: place for place, member in enumerate(TrafficClass)}


class RobotList:
    """Finds the class of agents that the list knows."""

    def __init__(self, entries: Sequence[dict[str, Any]] = CRAWLER_USER_AGENTS_DATA) -> None:
        self._classes = [_entry_class(entry) for entry in entries]
        self._patterns = _compile(_bound_patterns(entries))
        self._instances = {
            " ".join(instance[:AGENT_MAX].split()): found
            for entry, found in zip(reversed(entries), reversed(self._classes), strict=True)
            for instance in entry["instances"]
        }
        newest = max((entry.get("addition_date", "") for entry in entries), default="")
        self.version = ListVersion(PACKAGE, version(PACKAGE), newest.replace("/", "-"), len(entries))

    def find_instance(self, agent: str) -> TrafficClass | None:
        """Return the class of an agent that the list contains literally."""
        return self._instances.get(agent)

    def find_pattern(self, agent: str) -> TrafficClass | None:
        """Return the first class, in order of precedence, of the patterns that match somewhere in the agent."""
        matches = (self._classes[index] for index in _match(self._patterns, agent))
        return min(matches, key=_PRECEDENCE.__getitem__, default=None)


def _entry_class(entry: dict[str, Any]) -> TrafficClass:
    """Return the class of an entry, the first of several; one with no tag that is known here is just a robot."""
    known = (_CLASSES[tag] for tag in entry.get("tags", ()) if tag in _CLASSES)
    return min(known, key=_PRECEDENCE.__getitem__, default=TrafficClass.ROBOT)


def _bound_patterns(entries: Sequence[dict[str, Any]]) -> list[str]:
    """Return the patterns, each only at the start of a word where all agents of its entry have it there.

    `008/` is then no longer found in the identifiers of devices that end in these digits.
    """
    bounded = [rf"\b(?:{entry['pattern']})" for entry in entries]
    found = _compile(bounded)
    return [
        bounded[index]
        if entry["instances"] and all(index in _match(found, instance) for instance in entry["instances"])
        else entry["pattern"]
        for index, entry in enumerate(entries)
    ]


def _compile(patterns: Sequence[str]) -> Any:
    options = re2.Options()
    options.max_mem = MEMORY_MAX
    compiled = re2.Set.SearchSet(options)
    for pattern in patterns:
        compiled.Add(pattern)
    compiled.Compile()
    return compiled


def _match(patterns: Any, text: str) -> Sequence[int]:
    """Return the indexes of the patterns that match somewhere in the text."""
    return patterns.Match(text.encode("utf-8", "replace")) or ()
