"""Every setting, each read from `ONEBYONE_<NAME>` (docs/settings.md lists them; a test keeps the two equal)."""

from __future__ import annotations

import os
from functools import cached_property
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

Network = IPv4Network | IPv6Network


def _networks(text: str) -> str:
    for part in _split(text):
        ip_network(part, strict=False)
    return text


def _split(text: str) -> list[str]:
    return [part for part in (piece.strip() for piece in text.split(",")) if part]


def _limits(text: str) -> str:
    for part in _split(text):
        service, _, number = part.partition("=")
        if not service or not number.isdigit():
            raise ValueError(f"not a limit: {part!r}")
    return text


ObjectLimits = Annotated[str, AfterValidator(_limits)]
Networks = Annotated[str, AfterValidator(_networks)]


def default_workers() -> int:
    """The number of cores, at least 1, at most 4."""
    return max(1, min(4, os.cpu_count() or 1))


class Settings(BaseSettings):
    """All settings of all roles; every process reads the same environment."""

    model_config = SettingsConfigDict(
        env_prefix="ONEBYONE_", env_ignore_empty=True, extra="ignore", use_attribute_docstrings=True
    )

    data_dir: Path = Field(Path("onebyone-data"))
    """Folder of everything kept on disk: journals, SQLite files, embedded Valkey."""
    metrics_dir: str = Field("")
    """Folder of the processes' metric files; default: /dev/shm, XDG_RUNTIME_DIR or data dir, the first with room."""
    host: str = Field("127.0.0.1")
    """Address that edge and API listen on."""
    edge_port: int = Field(8080, ge=0, le=65535)
    """Port of the tag endpoints; 0 picks a free one."""
    api_port: int = Field(8081, ge=0, le=65535)
    """Port of the config API and reports; 0 picks a free one."""
    workers: int = Field(default_factory=default_workers, ge=1, le=64)
    """Edge processes; default: the number of cores, at most 4."""
    public_url: str = Field("")
    """Base URL of the edge as browsers see it, for printed tags; default `http://HOST:EDGE_PORT`."""

    database_url: str = Field("")
    """Configuration store; default SQLite in the data dir; `postgresql+asyncpg://...` at scale."""
    report_database_url: str = Field("")
    """Report store; default: `DATABASE_URL` when that is set, else SQLite in a file of its own."""
    cache_url: str = Field("")
    """Redis or Valkey of the configuration cache; `serve` starts one when it is empty."""
    stream_url: str = Field("")
    """Redis or Valkey of the event streams, `noeviction`; `serve` starts one when it is empty."""
    shards: int = Field(4, ge=1, le=1024)
    """Number of event streams. Drain before lowering it."""
    valkey_maxmemory: str = Field("256mb", pattern=r"^[0-9]+(kb|mb|gb)$")
    """Memory limit of the embedded Valkey; past it events wait in the journal."""

    admin_username: str = Field("admin", min_length=1, max_length=255)
    """User made at the first start."""
    admin_password: SecretStr = Field(SecretStr(""))
    """Its password; empty: one is made and printed once."""

    reads_a_minute: int = Field(10_000, ge=1)
    """Reads of the API that one user may make in a minute; past it answers are 429."""
    writes_a_minute: int = Field(10_000, ge=1)
    """Writes of the API that one user may make in a minute; past it answers are 429."""
    logins: int = Field(10, ge=1)
    """Successful logins of one user in five minutes; past it answers are 429."""
    password_days: int = Field(0, ge=0)
    """Days after which a password is expired; 0: never."""
    publisher_rules: Literal["recorded", "documented"] = Field("recorded")
    """`recorded`: publishers need a name and start active. `documented`: billing and contact too, inactive."""
    object_limits: ObjectLimits = Field("line-item=3000,publisher=3000,site=10000,placement=20000")
    """Comma list of how many objects of a service one member may have, inactive ones included."""

    receipt: Literal["disk", "memory"] = Field("disk")
    """`disk`: answer after the fsync. `memory`: answer before it; events can be lost in a crash."""
    edge_http: Literal["fast", "asgi"] = Field("fast")
    """`fast`: plain tag requests are answered without ASGI. `asgi`: every request goes through the ASGI application."""
    pending_events: int = Field(20_000, ge=1)
    """Events that may wait for one edge process's disk; past it answers are not recorded (reason `overload`)."""
    journal_overlap_seconds: float = Field(600.0, ge=0)
    """How long a committed batch stays in the journal, for a report store that goes back in time."""
    tracker_cache: int = Field(200_000, ge=1)
    """Trackers that one edge process keeps in memory."""
    last_known_records: int = Field(200_000, ge=0)
    """Trackers and members that edges keep on disk, to start without the cache server; 0: none."""
    trusted_proxies: Networks = Field("")
    """Comma list of networks whose `X-Forwarded-For` is believed."""
    metrics_from: Networks = Field("127.0.0.0/8,::1/128")
    """Comma list of networks that may read `/metrics`."""
    archive_days: int = Field(100, ge=1)
    """Days that the report store keeps raw batches for replay."""
    drain_seconds: float = Field(1.0, ge=0, le=300)
    """After SIGTERM: how long to answer as not ready before the listener closes."""
    log_level: Literal["debug", "info", "warning", "error"] = Field("info")
    """Least level that is logged."""

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
        return self.public_url.rstrip("/") or f"http://{self.host}:{self.edge_port}"

    @cached_property
    def journal_dir(self) -> Path:
        """Where edge processes keep their journals."""
        return self.data_dir / "journal"

    @cached_property
    def last_known_file(self) -> Path:
        """Where edge processes keep the configuration as last known."""
        return self.data_dir / "last-known.sqlite3"

    @cached_property
    def proxy_networks(self) -> tuple[Network, ...]:
        """Parsed `trusted_proxies`."""
        return tuple(ip_network(part, strict=False) for part in _split(self.trusted_proxies))

    @cached_property
    def limits(self) -> dict[str, int]:
        """Parsed `object_limits`: service -> number."""
        pairs = (part.partition("=") for part in _split(self.object_limits))
        return {service.strip(): int(number) for service, _, number in pairs}

    @cached_property
    def metrics_networks(self) -> tuple[Network, ...]:
        """Parsed `metrics_from`."""
        return tuple(ip_network(part, strict=False) for part in _split(self.metrics_from))
