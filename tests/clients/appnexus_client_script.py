"""The steps of a script that uses `appnexus-client`: `python appnexus_client_script.py TOKEN_FILE [URL]`.

Without a URL it calls the name built into the library.
"""

from __future__ import annotations

import sys
from typing import Any

from appnexus import AppNexusClient, Model, Report, client, connect
from appnexus.representations import raw
from steps import run

Json = dict[str, Any]

if len(sys.argv) > 2:
    AppNexusClient.url = f"{sys.argv[2]}/"


class Clicktracker(Model):  # type: ignore[misc]
    """A service that the library does not name."""


def log_in(username: str, password: str) -> str:
    """Log in and return the user name that the API reports."""
    connect(username, password, representation=raw, token_file=sys.argv[1])
    return str(client.get("user", current=True)["user"]["username"])


def create(service: str, fields: Json, **query: Any) -> Json:
    """Create an object and return it."""
    found: Json = client.create(service, {service: fields}, **query)[service]
    return found


def find(service: str, **query: Any) -> list[Json]:
    """Return all objects, read through the cursor."""
    return list(client.find(service, **query))


def read(service: str, row_id: int) -> Json:
    """Return one object."""
    found: Json = client.find(service, id=row_id).first
    return found


def modify(service: str, row_id: int, fields: Json) -> Json:
    """Change an object and return it."""
    found: Json = client.modify(service, {service: fields}, id=row_id)[service]
    return found


def append(service: str, row_id: int, fields: Json) -> Json:
    """Append to the lists of an object and return it."""
    found: Json = client.append(service, {service: fields}, id=row_id)[service]
    return found


def delete(service: str, ids: list[int]) -> int:
    """Delete objects and return how many were deleted."""
    return int(client.delete(service, *ids)["count"])


def meta(service: str) -> list[str]:
    """Return the names of the fields."""
    return [field["name"] for field in client.meta(service)["fields"]]


def report(wanted: Json) -> list[list[str]]:
    """Order a report, let the library wait for it, and return its lines, each split into columns."""
    text = Report(wanted).save().download().decode()
    return [line.split(",") for line in text.splitlines()]


def cursor(service: str, place: int, **query: Any) -> Json:
    """Return what a cursor can tell without a walk through all pages: a count, single objects and a slice."""
    found = client.find(service, **query)
    return {
        "count": len(found),
        "at": found[place]["id"],
        "first": found.first["id"],
        "five": len(list(found.limit(5))),
    }


def save_twice(fields: Json, advertiser_id: int) -> Json:
    """Create an object through a model, then send the whole response back with a new name."""
    made = Clicktracker(fields).save(advertiser_id=advertiser_id)
    made.name = "Renamed"
    return {"id": made.id, **made.save().clicktracker}


def token() -> str:
    """Return the token in use."""
    return str(client.token)


steps = (log_in, create, find, read, modify, append, delete, meta, report, cursor, save_twice, token)
run({step.__name__: step for step in steps})
