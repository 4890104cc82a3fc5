"""One API process: `python -m onebyone.api`, started by the supervisor with a listening socket."""

from __future__ import annotations

import asyncio
import sys
from functools import partial

import structlog
import uvloop
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from onebyone.api import metrics, ops_endpoints, pruning
from onebyone.api.app import Api
from onebyone.api.pipeline_lag import PipelineLagMeter
from onebyone.config_store import schema
from onebyone.publishing.publisher import ConfigPublisher
from onebyone.report_store import schema as report_schema
from onebyone.resources.admin.bootstrap import BadAdminPassword, bootstrap
from onebyone.resources.context import EngineContext
from onebyone.runtime import logs, redis_client, role, sql, web_server
from onebyone.runtime.connection_limits import ConnectionLimits
from onebyone.runtime.exit_codes import BAD_SETTINGS
from onebyone.runtime.migration import NewerSchema
from onebyone.runtime.outage import Outage
from onebyone.runtime.store_refusals import Refused, refusal, server_faults, sql_setting
from onebyone.runtime.terminal import write_line
from onebyone.settings import Settings

RETRY_SECONDS = 0.5
"""How often to try a store that does not answer: the product starts its servers at the same time as this."""
START_SECONDS = 3.0
"""How long a new process waits for the cache to be current before it takes connections; then `/readyz` says no."""

_log = structlog.get_logger()


async def main(settings: Settings) -> int:
    """Run one API process until the supervisor stops it; return the exit code."""
    lifeline = role.Lifeline()
    store = sql.create_engine(settings.config_store_url)
    report_store = sql.create_engine(settings.report_store_url)
    try:
        if not await _prepare(settings, store, lifeline.stopping):
            return 0
    except BadAdminPassword as fault:
        write_line(sys.stderr, f"onebyone: {fault}")
        await store.dispose()
        await report_store.dispose()
        return BAD_SETTINGS
    except Refused as refused:
        await store.dispose()
        await report_store.dispose()
        return lifeline.refuse("api", *refused.faults)
    cache = redis_client.connect(settings.cache_url)
    publisher = ConfigPublisher(store, cache)
    lag_meter = PipelineLagMeter(settings, report_store)
    serving = asyncio.Event()

    def checks() -> dict[str, bool]:
        return {
            "configuration": publisher.published.is_set(),
            "running": lifeline.retiring or not lifeline.stopping.is_set(),
        }

    context = EngineContext(settings, store, report_store, publisher)
    app = Api(
        context, ops_endpoints.create_ops_app(settings, checks, lag_meter.measure, lag_meter.last_problems), cache
    )
    publishing = asyncio.create_task(publisher.run())
    files = partial(app.reports.prune, settings.report_file_hours)
    pruner = asyncio.create_task(pruning.prune_forever((app.sessions.prune, files)))
    announcing = asyncio.create_task(_announce(lifeline, serving, publisher))
    await lifeline.wait_for(publisher.published, START_SECONDS)
    drain_seconds = partial(lifeline.not_ready_seconds, settings.drain_seconds)
    limits = ConnectionLimits.of(settings, metrics.CLOSED_CONNECTIONS.inc)
    await web_server.serve(app, role.inherited_listener(), lifeline.stopping, drain_seconds, serving.set, limits=limits)
    announcing.cancel()
    pruner.cancel()
    await app.reports.stop()
    await publisher.finish(publishing)
    await cache.aclose()
    await lag_meter.close()
    await store.dispose()
    await report_store.dispose()
    return 0


async def _prepare(settings: Settings, store: AsyncEngine, stopping: asyncio.Event) -> bool:
    """Migrate the stores and create the first user, as soon as the stores answer. Return False if stopped before.

    Raise `Refused` with all that no retry can help.
    """
    faults = await server_faults(settings, "cache_url")
    outage = Outage("a store is unreachable, retrying", "the stores answer", backoff=(RETRY_SECONDS,), level="error")
    while not stopping.is_set():
        try:
            for upgrade, url, reports in (
                (schema.upgrade, settings.config_store_url, False),
                (report_schema.upgrade, settings.report_store_url, True),
            ):
                try:
                    await upgrade(url)
                except Exception as error:
                    reason = str(error) if isinstance(error, NewerSchema) else refusal(error)
                    if reason is None:
                        raise
                    faults.append(f"{sql_setting(settings, reports=reports)}: {reason}")
            if faults:
                raise Refused(*dict.fromkeys(faults))
            line = await bootstrap(store, settings)
        except (SQLAlchemyError, OSError) as error:
            await asyncio.sleep(outage.failed(error))
        else:
            outage.succeeded()
            if line is not None:
                write_line(sys.stdout, line)
            return True
    return False


async def _announce(lifeline: role.Lifeline, serving: asyncio.Event, publisher: ConfigPublisher) -> None:
    await serving.wait()
    await publisher.published.wait()
    lifeline.report_ready()


if __name__ == "__main__":
    settings = role.read_role_settings("api")
    logs.configure_logging("api", settings.log_level, settings.log_format)
    sys.exit(uvloop.run(main(settings)))
