"""What is wrong with the URL of a store, found without connecting; no message quotes any part that may be a secret."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

SCHEMES = {
    "database_url": ("sqlite+aiosqlite:///", "postgresql+asyncpg://"),
    "report_database_url": ("sqlite+aiosqlite:///", "postgresql+asyncpg://"),
    "cache_url": ("redis://", "rediss://", "unix://"),
    "stream_url": ("redis://", "rediss://", "unix://"),
}
"""The settings that hold the URL of a store, and how each may begin."""

LIBPQ_PARAMETERS = frozenset(
    {
        "application_name",
        "sslcert",
        "sslcrl",
        "sslkey",
        "sslmode",
        "sslpassword",
        "sslrootcert",
        "ssl_max_protocol_version",
        "ssl_min_protocol_version",
        "target_session_attrs",
    }
)
"""Parameters that asyncpg knows in a URL of its own only (`runtime/postgres.py`)."""

_FILE, _NUMBER, _TEXT = "file", "number", "text"
_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_Kind = str | tuple[str, ...]

_POSTGRES: dict[str, _Kind] = {
    **dict.fromkeys(LIBPQ_PARAMETERS, _TEXT),
    **dict.fromkeys(("sslcert", "sslcrl", "sslkey", "sslrootcert", "passfile"), _FILE),
    **dict.fromkeys(("sslmode", "ssl"), _SSL_MODES),
    **dict.fromkeys(("host", "user", "password"), _TEXT),
    **dict.fromkeys(("port", "prepared_statement_cache_size"), _NUMBER),
}
_REDIS: dict[str, _Kind] = {
    **dict.fromkeys(("username", "password", "client_name"), _TEXT),
    **dict.fromkeys(("db", "health_check_interval"), _NUMBER),
    "socket_keepalive": ("True", "False", "true", "false", "yes", "no", "1", "0"),
}
_REDIS_TLS: dict[str, _Kind] = {
    "ssl_cert_reqs": ("none", "optional", "required"),
    "ssl_check_hostname": ("True", "False", "true", "false", "yes", "no", "1", "0"),
    **dict.fromkeys(("ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile"), _FILE),
    "ssl_password": _TEXT,
}


def url_fault(field: str, url: str) -> str | None:
    """Return why the setting `field` cannot have this value; None: nothing can be said without connecting."""
    if not url:
        return None
    if not url.startswith(SCHEMES[field]):
        return f"must start with {' or '.join(SCHEMES[field])}"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        # The message may quote what stands before the first special character of a password.
        named = str(error).partition(" as ")[0] if "Port" in str(error) else "its address is not valid"
        return f"{named}; percent-encode special characters of a password"
    if _is_cut_by_a_password(parts):
        return "its address is not valid; percent-encode special characters of a password"
    if parts.fragment:
        return "contains a #, which must be percent-encoded as %23"
    if port == 0:
        return "Port out of range 1-65535"
    if parts.scheme == "sqlite+aiosqlite":
        return "must name a file" if parts.path.removeprefix("/") in ("", ":memory:") else None
    if parts.scheme == "postgresql+asyncpg":
        return _parameter_fault(parts, _POSTGRES)
    return _redis_fault(parts)


def _is_cut_by_a_password(parts: SplitResult) -> bool:
    """Return whether an `@` stands where only part of a password can have put it: no message may quote what is there.

    SQLAlchemy ends a password at the first `@`, redis-py at the last.
    """
    names = (name for name, _ in parse_qsl(parts.query, keep_blank_values=True))
    return (parts.scheme == "postgresql+asyncpg" and parts.netloc.count("@") > 1) or any("@" in name for name in names)


def _redis_fault(parts: SplitResult) -> str | None:
    if parts.scheme == "unix" and not parts.path.removeprefix("/"):
        return "must name a socket, such as unix:///run/valkey.sock"
    database = parts.path.removeprefix("/")
    if parts.scheme != "unix" and database and not _is_number(database):
        return "its path must be the number of a database, such as redis://HOST:6379/0"
    return _parameter_fault(parts, _REDIS | _REDIS_TLS if parts.scheme == "rediss" else _REDIS)


def _parameter_fault(parts: SplitResult, known: dict[str, _Kind]) -> str | None:
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        kind = known.get(name)
        if kind is None:
            return f"has an unknown parameter {unquote(name)!r:.50}; known are {', '.join(sorted(known))}"
        if kind == _NUMBER and not _is_number(value):
            return f"its parameter {name} must be a number"
        if kind == _FILE and not Path(value).exists():
            return f"its parameter {name} must name a file that exists"
        if isinstance(kind, tuple) and value not in kind:
            return f"its parameter {name} must be one of {', '.join(kind)}"
    return None


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()
