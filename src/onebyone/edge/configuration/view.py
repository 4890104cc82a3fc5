"""The configuration as one edge process sees it: from the cache server, or as last known on disk while it is away."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

import structlog

from onebyone.clock import now_ms
from onebyone.contracts.configuration import Head
from onebyone.edge.configuration.cache import ConfigCache
from onebyone.edge.configuration.snapshot import ConfigSnapshot
from onebyone.edge.configuration.watcher import Reset, Watcher
from onebyone.runtime import redis_client
from onebyone.settings import Settings

START_SECONDS = 3.0
"""How long a new process waits for the cache server before it answers from the snapshot on disk: the server may only be
restarting, and a record from the server is never out of date."""
LOOKUP_SECONDS = 1.0
"""The longest that a request waits for one reply of the cache server: a person waits for a click to land."""

_log = structlog.get_logger()


class ConfigState(NamedTuple):
    """Which configuration an edge answers from."""

    age_seconds: float | None
    """Seconds since it was last confirmed as current; None if there is none yet."""
    head: Head | None
    """The newest version that is followed; None until the cache server was seen complete."""
    reset: Reset | None
    """The last time that it went back while this process ran."""


class ConfigView:
    """The cache in memory, with the watcher and the snapshot that keep it current."""

    def __init__(self, settings: Settings) -> None:
        """Connect to nothing yet; `start` does."""
        url, limit = settings.cache_url, settings.last_known_records
        self._snapshot = ConfigSnapshot(settings.last_known_file, url, limit) if limit else None
        client = redis_client.connect(url, reply_seconds=LOOKUP_SECONDS)
        self.cache = ConfigCache(client, settings.tracker_cache, self._snapshot)
        self._watcher = Watcher(redis_client.connect(url), self.cache)
        self._watcher_task: asyncio.Task[None] | None = None
        self._startup_task: asyncio.Task[None] | None = None
        self._snapshot_ms = 0
        self.usable = asyncio.Event()
        """Set once there is a configuration to answer from."""

    def start(self) -> None:
        """Start to follow published changes, on the cache server and on disk."""
        self._watcher_task = asyncio.create_task(self._watcher.run())
        self._startup_task = asyncio.create_task(self._become_usable())
        if self._snapshot is not None:
            self._snapshot.start()

    async def stop(self) -> None:
        """Stop everything within a bounded time, and write to disk what was learnt."""
        self._watcher.stop()
        if self._startup_task is not None:
            self._startup_task.cancel()
        if self._snapshot is not None:
            await asyncio.to_thread(self._snapshot.stop)
        if self._watcher_task is not None:
            await asyncio.wait({self._watcher_task}, timeout=redis_client.REPLY_SECONDS)

    def age_seconds(self) -> float | None:
        """Return the seconds since the configuration was last confirmed as current; None if there is none yet."""
        confirmed = self._watcher.confirmed_ms or self._snapshot_ms
        return max(0.0, (now_ms() - confirmed) / 1000) if confirmed else None

    def state(self) -> ConfigState:
        """Return what `/readyz` says about the configuration."""
        watcher = self._watcher
        return ConfigState(self.age_seconds(), watcher.head, watcher.reset)

    @property
    def records_on_disk(self) -> int:
        """The number of trackers and members in the snapshot on disk."""
        return 0 if self._snapshot is None else self._snapshot.records

    async def _become_usable(self) -> None:
        try:
            await asyncio.wait_for(self._watcher.complete.wait(), START_SECONDS)
        except TimeoutError:
            state = None if self._snapshot is None else await asyncio.to_thread(self._snapshot.state)
            if state is None:
                await self._watcher.complete.wait()
            else:
                self._snapshot_ms = state.confirmed_ms
                age = self.age_seconds()
                _log.warning("no cache server, answering from the snapshot", head=state.head.encode(), seconds=age)
        self.usable.set()
