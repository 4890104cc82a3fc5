"""The steps of a script that uses `nexusadspy`: `python nexusadspy_script.py TOKEN_FILE [URL]`.

Without a URL it calls the name built into the library; its reports always do.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from nexusadspy import AppnexusClient, AppnexusReport
from steps import run

Json = dict[str, Any]

token_file = sys.argv[1]
client = AppnexusClient(token_file, **({"endpoint": sys.argv[2]} if len(sys.argv) > 2 else {}))


def log_in(username: str, password: str) -> str:
    """Log in and return the user name that the API reports."""
    os.environ.update(USERNAME_NEXUSADSPY=username, PASSWORD_NEXUSADSPY=password)
    return str(client.request("user", "GET", params={"current": 1})[0]["username"])


def create(service: str, fields: Json, **query: Any) -> Json:
    """Create an object and return it."""
    found: Json = client.request(service, "POST", params=query, data={service: fields})[0][service]
    return found


def find(service: str, **query: Any) -> list[Json]:
    """Return all objects, read through the client's own paging."""
    found: list[Json] = client.request(service, "GET", params=query)
    return found


def read(service: str, row_id: int) -> Json:
    """Return one object, requested as the library documents it: with the parameters in the body."""
    found: Json = client.request(service, "GET", data={"id": row_id})[0]
    return found


def modify(service: str, row_id: int, fields: Json) -> Json:
    """Change an object and return it."""
    found: Json = client.request(service, "PUT", params={"id": row_id}, data={service: fields})[0][service]
    return found


def append(service: str, row_id: int, fields: Json) -> Json:
    """Append to the lists of an object and return it."""
    query = {"id": row_id, "append": "true"}
    found: Json = client.request(service, "PUT", params=query, data={service: fields})[0][service]
    return found


def delete(service: str, ids: list[int]) -> int:
    """Delete objects and return how many were deleted."""
    return int(client.request(service, "DELETE", params={"id": ",".join(map(str, ids))})[0]["count"])


def meta(service: str) -> list[str]:
    """Return the names of the fields."""
    return [field["name"] for field in client.request(f"{service}/meta", "GET")]


def report(wanted: Json) -> list[list[str]]:
    """Order a report, let the library wait for it, and return its lines, each split into columns."""
    rows = AppnexusReport(**wanted, credentials_path=token_file).get()
    return [list(rows[0]), *(list(row.values()) for row in rows)] if rows else []


def token() -> str:
    """Return the token in use."""
    return str(json.loads(Path(token_file).read_text())["token"])


run({step.__name__: step for step in (log_in, create, find, read, modify, append, delete, meta, report, token)})
