"""What one edge process knows of the configuration: followed on the cache server, else as last known on disk."""

from __future__ import annotations

import asyncio

import structlog

from onebyone.clock import now_ms
from onebyone.edge.configuration.cache import ConfigCache
from onebyone.edge.configuration.snapshot import ConfigSnapshot
from onebyone.edge.configuration.watcher import Watcher
from onebyone.runtime import redis_client
from onebyone.settings import Settings

START_SECONDS = 3.0
"""How long a new process waits for the cache server before it answers by what is on disk."""
LOOKUP_SECONDS = 1.0
"""The longest that a request waits for the cache server before it is answered by what is known."""

_log = structlog.get_logger()


class ConfigView:
    """The records in memory, and those who keep them current."""

    def __init__(self, settings: Settings) -> None:
        url, limit = settings.cache_url, settings.last_known_records
        self._snapshot = ConfigSnapshot(settings.last_known_file, url, limit) if limit else None
        client = redis_client.connect(url, reply_seconds=LOOKUP_SECONDS)
        self.cache = ConfigCache(client, settings.tracker_cache, self._snapshot)
        self._watcher = Watcher(redis_client.connect(url), self.cache)
        self._watcher_task: asyncio.Task[None] | None = None
        self._startup_task: asyncio.Task[None] | None = None
        self._snapshot_ms = 0
        self.usable = asyncio.Event()
        """Set once there is a configuration to answer by."""

    def start(self) -> None:
        """Begins to follow what is published."""
        self._watcher_task = asyncio.create_task(self._watcher.run())
        self._startup_task = asyncio.create_task(self._become_usable())
        if self._snapshot is not None:
            self._snapshot.start()

    async def stop(self) -> None:
        """Ends all of it in bounds, and keeps on disk what was learnt."""
        self._watcher.stop()
        if self._startup_task is not None:
            self._startup_task.cancel()
        if self._snapshot is not None:
            await asyncio.to_thread(self._snapshot.stop)
        if self._watcher_task is not None:
            await asyncio.wait({self._watcher_task}, timeout=redis_client.REPLY_SECONDS)

    def age_seconds(self) -> float | None:
        """Since the cache server last said that what is known is current; None when nothing is known."""
        confirmed = self._watcher.confirmed_ms or self._snapshot_ms
        return max(0.0, (now_ms() - confirmed) / 1000) if confirmed else None

    @property
    def records_on_disk(self) -> int:
        """Trackers and members limit on disk as last known."""
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
                _log.warning("no cache server, answering by what is on disk", head=state.head.encode(), seconds=age)
        self.usable.set()
