"""Every setting, each read from `ONEBYONE_<NAME>` (docs/settings.md lists them; a test keeps the two equal)."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, PrivateAttr, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from onebyone.runtime.addresses import local_url
from onebyone.setting_types import Hosts, Network, Networks, ObjectLimits, PublicUrl, Token, parse_networks, split_list

MOST = 10**9
"""Bound on numbers without a bound of their own: more than anybody needs, and each store can hold it."""
MOST_DAYS = 36_500
"""A century: dates so far away still have four digits in their years."""


def default_workers() -> int:
    """Return the number of cores, at least 1 and at most 4."""
    return max(1, min(4, os.cpu_count() or 1))


def setting_name(field: str, *, typed: bool = False) -> str:
    """Return how a user names a setting: `--edge-port` where it was typed as an option, else `ONEBYONE_EDGE_PORT`."""
    return f"--{field.replace('_', '-')}" if typed else f"ONEBYONE_{field.upper()}"


class Settings(BaseSettings):
    """All settings of all roles; every process reads the same environment."""

    model_config = SettingsConfigDict(
        env_prefix="ONEBYONE_",
        env_ignore_empty=True,
        extra="ignore",
        use_attribute_docstrings=True,
        # It may be a secret.
        hide_input_in_errors=True,
    )

    data_dir: Path = Field(Path("onebyone-data"))
    """Folder of everything kept on disk: journals, SQLite files, embedded Valkey."""
    metrics_dir: str = Field("")
    """Folder of the metric files. Default: /dev/shm, XDG_RUNTIME_DIR or the data folder, the first with room."""
    host: str = Field("127.0.0.1")
    """Address on which the edge and the API listen."""
    edge_port: int = Field(8080, ge=0, le=65535)
    """Port of the tag endpoints; 0 picks a free one."""
    api_port: int = Field(8081, ge=0, le=65535)
    """Port of the config API and the reports; 0 picks a free one."""
    counter_port: int = Field(8082, ge=0, le=65535)
    """Port of the counter for its operators (`/readyz`, `/sinkz`, `/metrics`), under `serve` on 127.0.0.1; 0: none."""
    workers: int = Field(default_factory=default_workers, ge=1, le=64)
    """Number of edge processes. Default: the number of cores, at most 4."""
    public_url: PublicUrl = Field("")
    """Base URL under which browsers reach the edge, for tags. Default: `http://HOST:EDGE_PORT`."""

    database_url: str = Field("")
    """Configuration store. Default: SQLite in the data folder. At scale: `postgresql+asyncpg://...`."""
    report_database_url: str = Field("")
    """Report store. Default: `ONEBYONE_DATABASE_URL` where that is set, else another SQLite file."""
    cache_url: str = Field("")
    """Redis or Valkey server of the configuration cache. `serve` starts one when this is empty."""
    stream_url: str = Field("")
    """Redis or Valkey server of the event streams, with `noeviction`. `serve` starts one when this is empty."""
    shards: int = Field(4, ge=1, le=1024)
    """Number of event streams. Drain them before you lower it."""
    valkey_maxmemory: str = Field("256mb", pattern=r"^[0-9]+(kb|mb|gb)$")
    """Memory limit of the embedded Valkey; when it is full, events wait in the journals."""

    admin_username: str = Field("admin", min_length=1, max_length=255)
    """Name of the user that the first start creates."""
    admin_password: SecretStr = Field(SecretStr(""))
    """Password of that user; when empty, the first start prints a generated one. Later starts warn if it differs."""

    reads_a_minute: int = Field(10_000, ge=1, le=MOST)
    """API reads that one user may make in a minute; further ones are answered 429."""
    writes_a_minute: int = Field(10_000, ge=1, le=MOST)
    """API writes that one user may make in a minute; further ones are answered 429."""
    logins: int = Field(10, ge=1, le=MOST)
    """Successful logins of one user in five minutes; further ones are answered 429."""
    password_days: int = Field(0, ge=0, le=MOST_DAYS)
    """Days after which a password expires; 0: never."""
    publisher_rules: Literal["recorded", "documented"] = Field("recorded")
    """`recorded`: publishers need a name and start active. `documented`: billing and contact too, inactive."""
    object_limits: ObjectLimits = Field("line-item=3000,publisher=3000,site=10000,placement=20000")
    """Comma-separated limits on the objects of a service that one member may have, inactive ones included."""

    receipt: Literal["disk", "memory"] = Field("disk")
    """`disk`: answer after the fsync. `memory`: answer before it; a crash can lose events."""
    edge_http: Literal["fast", "asgi"] = Field("fast")
    """`fast`: answer plain tag requests without ASGI. `asgi`: pass every request through the ASGI application."""
    pending_events: int = Field(20_000, ge=1, le=MOST)
    """Events that may wait for the disk of one edge process; further ones are not recorded (reason `overload`)."""
    journal_overlap_seconds: float = Field(600.0, ge=0, le=MOST)
    """How long a counted batch stays in the journal, in case the report store is restored to an earlier time."""
    tracker_cache: int = Field(200_000, ge=1, le=MOST)
    """Trackers that one edge process keeps in memory."""
    last_known_records: int = Field(200_000, ge=0, le=MOST)
    """Trackers and members that edges keep on disk, to start without the cache server; 0: none."""
    connections: int = Field(10_000, ge=8, le=MOST)
    """Connections that one edge or API process keeps; for a further one, the one that waits longest is closed."""
    connections_per_peer: int = Field(1_000, ge=1, le=MOST)
    """Connections that one peer may have with a process, at most half of all; trusted proxies may have all."""
    trusted_proxies: Networks = Field("")
    """Comma-separated networks of proxies, whose word on the client's address and `X-Forwarded-Proto` is trusted."""
    client_address_header: str = Field("X-Forwarded-For", pattern=r"^[A-Za-z0-9-]+$")
    """Header in which trusted proxies name the client: this one, `Forwarded`, `CF-Connecting-IP`, or any other."""
    metrics_from: Networks = Field("127.0.0.0/8,::1/128")
    """Comma-separated networks that may read `/metrics` and `/sinkz` without a token; `none`: no network."""
    ops_hosts: Hosts = Field("")
    """Comma-separated host names under which they may do so, beside `localhost` and IP addresses."""
    ops_token: Token = Field(SecretStr(""))
    """Token that lets in to `/metrics` and `/sinkz` from anywhere (`Authorization: Bearer`); 16 characters or more."""
    uncounted_seconds: float = Field(60.0, gt=0, le=MOST)
    """Age of the oldest uncounted event from which on `/sinkz` and `healthy` say that the counter is dead or lags."""
    clock_skew_seconds: float = Field(2.0, ge=0.1, le=3600)
    """Difference between the clocks of edges, counters and stream server from which they warn; nothing stops."""
    archive_days: int = Field(100, ge=1, le=MOST_DAYS)
    """Days for which the report store keeps raw batches for replay."""
    click_days: int = Field(31, ge=1, le=MOST_DAYS)
    """Days for which the report store keeps single clicks; the click feed serves the last 30 of them."""
    dead_letter_days: int = Field(400, ge=0, le=MOST_DAYS)
    """Days after which a dead letter is deleted and its events are lost; 0: never. At least `ONEBYONE_ARCHIVE_DAYS`."""
    rollup_days: int = Field(0, ge=0, le=MOST_DAYS)
    """Days for which the report store keeps the sums of an hour, all reasons alike; 0: for ever."""
    producer_days: int = Field(400, ge=0, le=MOST_DAYS)
    """Days after which an edge process that ships nothing is forgotten; 0: never. At least `ONEBYONE_ARCHIVE_DAYS`."""
    session_hours: int = Field(24, ge=1, le=8760)
    """Hours after which a session ends; without requests it ends after two."""
    report_file_hours: int = Field(24, ge=1, le=8760)
    """Hours after which an ordered report and its file are deleted."""
    network_lists_dir: str = Field("")
    """Folder of files with the networks of data centres. Default: `network-lists` in the data folder."""
    network_lists_days: int = Field(45, ge=1, le=MOST_DAYS)
    """Age of such a file in days from which on it is reported as old."""
    drain_seconds: float = Field(1.0, ge=0, le=300)
    """How long to answer as not ready after SIGTERM, before the listener closes."""
    log_level: Literal["debug", "info", "warning", "error"] = Field("info")
    """Lowest level that is logged."""
    log_format: Literal["auto", "json", "console"] = Field("auto")
    """`json`: one JSON object a line. `console`: readable lines. `auto`: `console` on a terminal, else `json`."""

    _options: dict[str, Any] = PrivateAttr(default_factory=dict)

    @classmethod
    def with_options(cls, **options: Any) -> Settings:
        """Return the settings with command-line options, which win over their variables.

        Raise `ValidationError` for an invalid value of either.
        """
        settings = cls(**options)
        settings._options = options
        return settings

    @property
    def options(self) -> dict[str, Any]:
        """What was given as command-line options, by lower-case name; child processes need it in their environment."""
        return dict(self._options)

    def names(self, *fields: str) -> list[str]:
        """Return how the user names each setting: its option where that was typed, else its variable."""
        return [setting_name(field, typed=field in self._options) for field in fields]

    @cached_property
    def config_store_url(self) -> str:
        """SQLAlchemy URL of the configuration store."""
        return self.database_url or f"sqlite+aiosqlite:///{self.data_dir.resolve() / 'config.sqlite3'}"

    @cached_property
    def report_store_url(self) -> str:
        """SQLAlchemy URL of the report store."""
        return (
            self.report_database_url
            or self.database_url
            or f"sqlite+aiosqlite:///{self.data_dir.resolve() / 'reports.sqlite3'}"
        )

    @cached_property
    def edge_url(self) -> str:
        """Base URL of the edge for tags, without a trailing slash."""
        return self.public_url or local_url(self.host, self.edge_port)

    @cached_property
    def journal_dir(self) -> Path:
        """Folder of the journals of the edge processes."""
        return self.data_dir / "journal"

    @cached_property
    def network_lists_folder(self) -> Path:
        """Folder of the lists of networks."""
        return Path(self.network_lists_dir) if self.network_lists_dir else self.data_dir / "network-lists"

    @cached_property
    def last_known_file(self) -> Path:
        """File in which edge processes keep the configuration as last known."""
        return self.data_dir / "last-known.sqlite3"

    @cached_property
    def proxy_networks(self) -> tuple[Network, ...]:
        """Parsed `trusted_proxies`."""
        return parse_networks(self.trusted_proxies)

    @cached_property
    def limits(self) -> dict[str, int]:
        """Parsed `object_limits`: service -> number."""
        pairs = (part.partition("=") for part in split_list(self.object_limits))
        return {service.strip(): int(number) for service, _, number in pairs}

    @cached_property
    def metrics_networks(self) -> tuple[Network, ...]:
        """Parsed `metrics_from`."""
        return parse_networks(self.metrics_from)

    @cached_property
    def operator_hosts(self) -> frozenset[str]:
        """Host names, in lower case, under which the endpoints for operators answer without a token."""
        return frozenset(name.lower().rstrip(".") for name in ("localhost", self.host, *split_list(self.ops_hosts)))
