"""The `/metrics` page: this process, its siblings, and roles without a port."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from prometheus_client import REGISTRY, CollectorRegistry, Metric, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class _Folders(Collector):
    """The merged metrics of every process that wrote into some folders, live or dead."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = folders

    def collect(self) -> Iterable[Metric]:
        files = [str(file) for folder in self._folders for file in sorted(folder.glob("*.db"))]
        merged: Iterable[Metric] = MultiProcessCollector.merge(files)  # type: ignore[no-untyped-call]
        return merged


def render_metrics(extra_dirs: Sequence[Path] = ()) -> bytes:
    """Return the metrics in the Prometheus text format.

    With `PROMETHEUS_MULTIPROC_DIR` they cover all processes that share it, without it this process. `extra_dirs` are
    folders of other roles (`metrics_folder.existing_folders`); one that does not exist counts as empty.
    """
    own = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    folders = [Path(own), *extra_dirs] if own else list(extra_dirs)
    shared = CollectorRegistry()
    shared.register(_Folders(folders))
    return (b"" if own else generate_latest(REGISTRY)) + generate_latest(shared)
