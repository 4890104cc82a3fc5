"""Whether the cache server and the edge have the configuration of the store, and not an older or a discarded one."""

from __future__ import annotations

import asyncio
import time
from typing import Any, cast

from sqlalchemy.exc import NoResultFound, SQLAlchemyError

from onebyone.check import deployment
from onebyone.check.finding import Finding
from onebyone.config_store.store_head import read_store_head
from onebyone.contracts import keys
from onebyone.contracts.configuration import Head
from onebyone.runtime import sql
from onebyone.runtime.addresses import local_url
from onebyone.runtime.redis_client import Unavailable, connect_blocking
from onebyone.settings import Settings

SUBJECT = "configuration"
AGREE_SECONDS = 3.0
"""How long store, cache server and edge may differ: a change is published and followed within a second."""
RETRY_SECONDS = 0.2
"""Pause between comparisons, which are three cheap reads."""


async def check_configuration(settings: Settings, cache_url: str) -> list[Finding]:
    """Return whether all follow the configuration store, as far as they can be asked from here."""
    if sql.is_missing(settings.config_store_url):
        return [Finding(SUBJECT, f"not there: {settings.config_store_url}", skipped=True)]
    deadline = time.monotonic() + AGREE_SECONDS
    while True:
        try:
            store = await _read_store(settings)
        except NoResultFound:
            return [Finding(SUBJECT, "the store is empty: no API has started on it", skipped=True)]
        except (SQLAlchemyError, OSError) as error:
            remedy = "start the configuration store, or correct its URL"
            return [Finding(SUBJECT, f"cannot be read: {error!r:.300}", remedy)]
        findings = await asyncio.to_thread(_compare, settings, cache_url, store)
        if not any(finding.wrong for finding in findings) or time.monotonic() >= deadline:
            return findings
        await asyncio.sleep(RETRY_SECONDS)


async def _read_store(settings: Settings) -> Head:
    engine = sql.create_engine(settings.config_store_url)
    try:
        async with sql.reading(engine) as connection:
            return await read_store_head(connection)
    finally:
        await engine.dispose()


def _compare(settings: Settings, cache_url: str, store: Head) -> list[Finding]:
    findings = []
    try:
        cache = _read_cache(cache_url) if cache_url else None
    except (*Unavailable, ValueError):
        # Another part of the check says that the server does not answer.
        return [Finding(SUBJECT, "the cache server could not be asked", skipped=True)]
    if cache_url and cache != store:
        there = "no complete configuration" if cache is None else _words(cache, store)
        text = f"the cache server has {there}, the configuration store is at version {store.version}"
        remedy = "start the API, or look at its log: it publishes what the store has, also after a restore"
        findings.append(Finding(SUBJECT, text, remedy))
    followed = _ask_edge(settings)
    if followed is None:
        return findings or [Finding(SUBJECT, f"version {store.version}; no edge could be asked here")]
    edge, reset = followed
    if edge is None or (edge.store_id, edge.version) != (store.store_id, store.version):
        there = "a configuration that it could not confirm" if edge is None else _words(edge, store)
        text = f"the edge answers from {there}, the configuration store is at version {store.version}"
        remedy = "see whether the edge reaches the cache server (its log, configuration_seconds of /readyz)"
        findings.append(Finding(SUBJECT, text, remedy))
    if findings:
        return findings
    since = "" if reset is None else f"; {reset}"
    return [Finding(SUBJECT, f"store, cache server and edge are at version {store.version}{since}")]


def _read_cache(url: str) -> Head | None:
    client: Any = connect_blocking(url)
    try:
        encoded, committed = cast("list[bytes | None]", client.mget(keys.HEAD, keys.HEAD_COMMITTED))
    finally:
        client.close()
    return None if encoded is None else Head.decode(encoded, committed)


def _ask_edge(settings: Settings) -> tuple[Head | None, str | None] | None:
    """Return the head that the edge follows and in words when it last went back; None if no edge answers."""
    try:
        _, state = deployment.ask(f"{local_url(settings.host, settings.edge_port)}/readyz")
    except (OSError, ValueError):
        return None
    store_id, version, reset = (state.get(f"configuration_{name}") for name in ("store", "version", "reset"))
    head = Head(store_id, version) if isinstance(store_id, str) and isinstance(version, int) else None
    if not isinstance(reset, dict):
        return head, None
    seconds = int(reset.get("seconds_ago", 0))
    return head, f"the edge went back from version {reset.get('from_version')} {seconds} s ago, after a restore"


def _words(head: Head, store: Head) -> str:
    if head.store_id != store.store_id:
        return f"version {head.version} of another store"
    return f"version {head.version}" + (" of a discarded history" if head.version == store.version else "")
