"""Why a store that answers will not serve this process as configured: to try again would not help.

A server that is away, starts, is full or slow is none of these: a role waits for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import redis

from onebyone.runtime import redis_client
from onebyone.settings import Settings

PROBE_SECONDS = 2.0
"""How long a start waits for the answer of a server about the credentials; one that is slow is asked again later."""

_SQLSTATES = {
    "28P01": "the server refuses the user name or password",
    "28000": "the server refuses this user",
    "3D000": "the server has no such database",
    "42501": "this user lacks a right that the product needs",
}
_WORDS = {
    r"rejected SSL upgrade": "the server does not speak TLS, which sslmode demands",
    r"unable to open database file": "the file cannot be opened or created",
    r"file is not a database": "the file is not a SQLite database",
    r"attempt to write a readonly database": "the file cannot be written",
    r"CERTIFICATE_VERIFY_FAILED": "the certificate of the server is not trusted",
    r"WRONG_VERSION_NUMBER|record layer failure": "the server does not speak TLS",
    r"\b(?:WRONGPASS|NOAUTH)\b|[Aa]uthentication required|invalid username-password": (
        "the server refuses the user name or password"
    ),
    r"\bNOPERM\b|No permissions|has no permissions": "this user lacks a right that the product needs",
}


class Refused(Exception):
    """This process cannot run as configured; each of `faults` names a setting and says why in one line."""

    def __init__(self, *faults: str) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


def refusal(error: BaseException) -> str | None:
    """Return the reason in words if `error`, of any driver, means a refusal; it quotes nothing of the error."""
    for cause in _chain(error):
        if isinstance(cause, redis.AuthenticationError):
            return "the server refuses the user name or password"
        words = _SQLSTATES.get(str(getattr(cause, "sqlstate", None)))
        if words is not None:
            return words
        if type(cause).__name__ == "ClientConfigurationError":
            return "its TLS parameters do not fit together: see the documentation of sslmode and sslrootcert"
        for pattern, text in _WORDS.items():
            if re.search(pattern, str(cause)):
                return text
    return None


def sql_setting(settings: Settings, *, reports: bool) -> str:
    """Return the variable that decides where a store is."""
    if reports and settings.report_database_url:
        return "ONEBYONE_REPORT_DATABASE_URL"
    return "ONEBYONE_DATABASE_URL" if settings.database_url else "ONEBYONE_DATA_DIR"


async def server_faults(settings: Settings, *fields: str) -> list[str]:
    """Ask the servers of these settings whether they let this process in; return one line for each refusal."""
    faults = []
    for field in fields:
        client = redis_client.connect(getattr(settings, field), reply_seconds=PROBE_SECONDS)
        try:
            await client.ping()
        except redis_client.Unavailable as error:
            if (reason := refusal(error)) is not None:
                faults.append(f"ONEBYONE_{field.upper()}: {reason}")
        finally:
            await client.aclose()
    return faults


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: list[BaseException] = []
    waiting: list[BaseException | None] = [error]
    while waiting:
        cause = waiting.pop()
        if cause is None or cause in seen:
            continue
        seen.append(cause)
        yield cause
        orig = getattr(cause, "orig", None)
        waiting += [cause.__cause__, cause.__context__, orig if isinstance(orig, BaseException) else None]
