"""Use the generated client against a running API: `python generated_client_script.py URL USERNAME PASSWORD`.

It runs in the venv of the generators, with the client on PYTHONPATH. It prints what it has read as one line of JSON.
"""

from __future__ import annotations

import json
import sys

from onebyone_client import AuthenticatedClient, Client
from onebyone_client.api.advertiser import create_advertiser
from onebyone_client.api.auth import log_in
from onebyone_client.api.imptracker import create_imptracker, delete_imptracker, get_imptracker, update_imptracker
from onebyone_client.api.line_item import create_line_item
from onebyone_client.api.publisher import create_publisher
from onebyone_client.models import (
    AdvertiserCreate,
    AdvertiserCreateRequest,
    Credentials,
    ErrorResponse,
    ImptrackerCreate,
    ImptrackerCreateRequest,
    ImptrackerFilter,
    ImptrackerListResponse,
    ImptrackerResponse,
    ImptrackerUpdate,
    ImptrackerUpdateRequest,
    LineItemCreate,
    LineItemCreateRequest,
    LogInRequest,
    ObjectLink,
    PublisherCreate,
    PublisherCreateRequest,
    State,
)


def main(url: str, username: str, password: str) -> None:
    """Log in, create a tracker and what it needs, then read, change and delete it."""
    credentials = LogInRequest(auth=Credentials(username=username, password=password))
    with Client(base_url=url) as stranger:
        token = log_in.sync(client=stranger, body=credentials).response.token
    with AuthenticatedClient(base_url=url, token=token, prefix="") as api:
        print(json.dumps(use(api)))


def use(api: AuthenticatedClient) -> dict[str, object]:
    """Return what was read on the way from a new tracker to a deleted one."""
    advertiser = create_advertiser.sync(
        client=api, body=AdvertiserCreateRequest(advertiser=AdvertiserCreate(name="Shoes"))
    ).response.advertiser
    line_item = create_line_item.sync(
        client=api,
        body=LineItemCreateRequest(line_item=LineItemCreate(name="Spring")),
        advertiser_id=advertiser.id,
    ).response.line_item
    publisher = create_publisher.sync(
        client=api, body=PublisherCreateRequest(publisher=PublisherCreate(name="News"))
    ).response.publisher

    links = {"publisher": ObjectLink(id=publisher.id), "line_item": ObjectLink(id=line_item.id)}
    body = ImptrackerCreateRequest(imptracker=ImptrackerCreate(name="Banner", **links))
    created = create_imptracker.sync(client=api, body=body, advertiser_id=advertiser.id).response.imptracker

    read = get_imptracker.sync(client=api, id=str(created.id))
    assert isinstance(read, ImptrackerResponse)
    assert read.response.imptracker.to_dict() == created.to_dict()

    change = ImptrackerUpdateRequest(imptracker=ImptrackerUpdate(state=State.INACTIVE))
    updated = update_imptracker.sync(client=api, body=change, id=created.id).response.imptracker
    listed = get_imptracker.sync(client=api, filter_=ImptrackerFilter(state="inactive"))
    assert isinstance(listed, ImptrackerListResponse)

    deleted = delete_imptracker.sync(client=api, id=str(created.id)).response
    missing = get_imptracker.sync(client=api, id=str(created.id))
    assert isinstance(missing, ErrorResponse)
    return {
        "created": [created.name, created.state, created.line_item.name, created.tag],
        "updated": updated.state,
        "listed": [tracker.id for tracker in listed.response.imptrackers] == [created.id],
        "deleted": deleted.count,
        "missing": missing.response.error_id,
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
