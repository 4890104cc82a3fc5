"""Keeps a counter process classifying by the lists as they are now, and shows operators which lists these are."""

from __future__ import annotations

import asyncio

import structlog

from onebyone.clock import DAY_MS, now_ms
from onebyone.counter import metrics
from onebyone.counter.classification.list_folder import ListFolder
from onebyone.counter.classification.remembered_classes import RememberedClasses

EVERY_SECONDS = 60.0
"""Between looks into the folder; providers publish once a day at most."""

_log = structlog.get_logger()


class ListWatch:
    """The classes to count by: `classes` is replaced when a list has changed."""

    def __init__(self, folder: ListFolder) -> None:
        self._folder = folder
        self._problems: list[str] = []
        self.classes = RememberedClasses(folder.classifier)

    async def refresh(self) -> None:
        """Read what has changed, in a thread: a long list takes a second."""
        await asyncio.to_thread(self._folder.refresh)
        classifier, problems = self._folder.classifier, self._folder.problems()
        if classifier is not self.classes.classifier:
            self.classes = RememberedClasses(classifier)
            _log.info(
                "lists of invalid traffic were read", lists=[f"{used.name} {used.date}" for used in classifier.lists]
            )
        if problems != self._problems:
            self._problems = problems
            for problem in problems:
                _log.warning("a list of invalid traffic needs attention", problem=problem)
        now = now_ms()
        for used in classifier.lists:
            if (age := used.age_days(now)) is not None:
                metrics.LIST_AGE.labels(used.name).set(age * DAY_MS / 1000)
        metrics.LIST_PROBLEMS.set(len(problems))

    async def run(self) -> None:
        """Refresh every `EVERY_SECONDS` forever."""
        while True:
            await asyncio.sleep(EVERY_SECONDS)
            await self.refresh()
