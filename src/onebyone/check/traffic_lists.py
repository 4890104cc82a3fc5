"""The lists by which events are classified: whether they can be read, and how old they are."""

from __future__ import annotations

from onebyone.check.finding import Finding
from onebyone.counter.classification.list_folder import ListFolder
from onebyone.settings import Settings

SUBJECT = "traffic lists"


def check_lists(settings: Settings) -> list[Finding]:
    """Return the lists in the folder of this machine, and what is wrong with them."""
    folder = ListFolder(settings.network_lists_folder, settings.network_lists_days)
    folder.refresh()
    remedy = f"put a new copy into {settings.network_lists_folder}; the list of robots comes with a new release"
    used = ", ".join(f"{found.name} of {found.date}" for found in folder.classifier.lists)
    return [Finding(SUBJECT, problem, remedy) for problem in folder.problems()] or [Finding(SUBJECT, used)]
