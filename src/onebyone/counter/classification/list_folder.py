"""The folder in which operators keep network lists: read at the start, and again when a file has changed."""

from __future__ import annotations

from pathlib import Path

from onebyone.clock import now_ms
from onebyone.counter.classification.agents import AgentClassifier
from onebyone.counter.classification.classifier import Classifier
from onebyone.counter.classification.network_list import NetworkList, NetworkListError, read_network_list
from onebyone.counter.classification.network_ranges import NetworkRanges
from onebyone.counter.classification.robots import RobotList

FILES_MAX = 64
"""Of one folder: a dozen providers publish their ranges."""

ROBOTS_DAYS = 365
"""Age of the list of robots from which on it is old: it comes with each release."""

_Stamp = tuple[int, int]


class ListFolder:
    """Makes a classifier from the list of robots and the files of a folder, which need not exist."""

    def __init__(self, folder: Path, days: int) -> None:
        self._folder = folder
        self._days = days
        self._robots = RobotList()
        self._agents = AgentClassifier(self._robots)
        self._stamps: dict[str, _Stamp] = {}
        self._lists: dict[str, NetworkList] = {}
        self._faults: dict[str, str] = {}
        self._folder_fault = ""
        self.classifier = Classifier(self._agents, NetworkRanges(), (self._robots.version,))
        """By the lists as last read; another object when they have changed."""

    def refresh(self) -> None:
        """Read the files that are new or have changed. One that cannot be read keeps its ranges, and is a problem."""
        try:
            stamps = self._find_files()
        except OSError as error:
            self._folder_fault = error.strerror or str(error)
            return
        self._folder_fault = f"it has more than {FILES_MAX} files" if len(stamps) > FILES_MAX else ""
        stamps = dict(sorted(stamps.items())[:FILES_MAX])
        if stamps == self._stamps:
            return
        lists = {name: found for name, found in self._lists.items() if name in stamps}
        faults = {name: fault for name, fault in self._faults.items() if name in stamps}
        for name, stamp in stamps.items():
            if stamp == self._stamps.get(name):
                continue
            faults.pop(name, None)
            try:
                lists[name] = read_network_list(self._folder / name)
            except (NetworkListError, OSError) as error:
                faults[name] = str(error)
        networks = NetworkRanges(network for found in lists.values() for network in found.networks)
        versions = (self._robots.version, *(lists[name].version for name in sorted(lists)))
        # Replaced whole: another thread may read them meanwhile.
        self._stamps, self._lists, self._faults = stamps, lists, faults
        self.classifier = Classifier(self._agents, networks, versions)

    def problems(self) -> list[str]:
        """Return, in words, which lists cannot be read or are older than the operator wants."""
        faults = [f"{name}: {fault}" for name, fault in sorted(self._faults.items())]
        if self._folder_fault:
            faults.append(f"{self._folder}: {self._folder_fault}")
        now = now_ms()
        for used in self.classifier.lists:
            age = used.age_days(now)
            limit = ROBOTS_DAYS if used is self._robots.version else self._days
            if age is not None and age > limit:
                faults.append(f"{used.name} is {age} days old")
        return faults

    def _find_files(self) -> dict[str, _Stamp]:
        """Return the time of change and the size of each file, by name."""
        found = {}
        for path in self._folder.iterdir() if self._folder.exists() else ():
            if not path.name.startswith(".") and path.is_file():
                stat = path.stat()
                found[path.name] = (stat.st_mtime_ns, stat.st_size)
        return found
