"""What a script does with `appnexus-client`: `python appnexus_client_script.py TOKEN_FILE [URL]`.

Without a URL it calls the name that the library has built in.
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
    """The user whom the API sees."""
    connect(username, password, representation=raw, token_file=sys.argv[1])
    return str(client.get("user", current=True)["user"]["username"])


def create(service: str, fields: Json, **query: Any) -> Json:
    """The new object."""
    found: Json = client.create(service, {service: fields}, **query)[service]
    return found


def find(service: str, **query: Any) -> list[Json]:
    """All objects, by the cursor."""
    return list(client.find(service, **query))


def read(service: str, row_id: int) -> Json:
    """One object."""
    found: Json = client.find(service, id=row_id).first
    return found


def modify(service: str, row_id: int, fields: Json) -> Json:
    """The changed object."""
    found: Json = client.modify(service, {service: fields}, id=row_id)[service]
    return found


def append(service: str, row_id: int, fields: Json) -> Json:
    """The object with longer lists."""
    found: Json = client.append(service, {service: fields}, id=row_id)[service]
    return found


def delete(service: str, ids: list[int]) -> int:
    """How many are gone."""
    return int(client.delete(service, *ids)["count"])


def meta(service: str) -> list[str]:
    """Names of the fields."""
    return [field["name"] for field in client.meta(service)["fields"]]


def report(wanted: Json) -> list[list[str]]:
    """The lines of the report, by the library's own waiting."""
    text = Report(wanted).save().download().decode()
    return [line.split(",") for line in text.splitlines()]


def cursor(service: str, place: int, **query: Any) -> Json:
    """What a cursor gives without going through all pages."""
    found = client.find(service, **query)
    return {
        "count": len(found),
        "at": found[place]["id"],
        "first": found.first["id"],
        "five": len(list(found.limit(5))),
    }


def save_twice(fields: Json, advertiser_id: int) -> Json:
    """A model creates an object, and puts back all that it was answered, with a new name."""
    made = Clicktracker(fields).save(advertiser_id=advertiser_id)
    made.name = "Renamed"
    return {"id": made.id, **made.save().clicktracker}


def token() -> str:
    """The token in use."""
    return str(client.token)


steps = (log_in, create, find, read, modify, append, delete, meta, report, cursor, save_twice, token)
run({step.__name__: step for step in steps})
