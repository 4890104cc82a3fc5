"""What existing scripts do, with the libraries that they use: each step by each client, against a running product.

A client without a method for a step sends the request itself; the names of the tests say where.
"""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from onebyone.auth.sessions import IDLE_MS, TOUCH_MS
from onebyone.clock import DAY_MS
from tests.clients.conftest import IMPRESSIONS, TRACKERS, StartScript, World
from tests.clients.script import CLIENTS, HERE, ClientRaised, Script, interpreter, local_environment
from tests.clients.served_api import ServedApi

ANSWERS = ([429, 200], [429, 429, 200])
"""Of a client that waited long enough, or came a moment too early; never logged out."""
PAGE = (HERE.parents[1] / "docs" / "clients.md").read_text()


@pytest.mark.parametrize("client", CLIENTS)
def test_the_lines_of_the_page(world: World, client: str, tmp_path: Path) -> None:
    lines = re.search(rf"^`{client}`.*?\n```\w+\n(.*?)```", PAGE, re.DOTALL | re.MULTILINE)
    assert lines is not None
    told = lines[1].replace("http://127.0.0.1:8081", world.product.api_url)
    told = told.replace("One-by-one-4-you", world.product.password)
    command = [*interpreter(client), "-e" if client == "anx-api" else "-c", told]
    ran = subprocess.run(command, cwd=tmp_path, env=local_environment(), capture_output=True, text=True, check=False)
    assert (re.findall(r"\w+", ran.stdout)[:2], ran.stderr) == (["Shoes", "Hats"], "")


def test_the_page_names_the_versions() -> None:
    pinned = dict(re.findall(r"^(\S+)==(\S+)$", (HERE / "requirements.in").read_text(), re.MULTILINE))
    pinned |= json.loads((HERE / "package.json").read_text())["dependencies"]
    assert dict(re.findall(r"^\| `([\w-]+)` \(\w+\) \| ([\d.]+) \|", PAGE, re.MULTILINE)) == pinned


def test_log_in(script: Script) -> None:
    assert script("token").startswith("hbapi:")


@pytest.mark.parametrize(
    ("script", "name"),
    [("appnexus-client", "BadCredentials"), ("nexusadspy", "NexusadspyAPIError"), ("anx-api", "NotAuthenticatedError")],
    ids=CLIENTS,
)
def test_a_wrong_password_is_told_as_the_client_knows_it(
    world: World, start_script: StartScript, script: str, name: str
) -> None:
    stranger = start_script(script, world.product.api_url)
    with pytest.raises(ClientRaised) as raised:
        stranger("log_in", username=script, password="Wrong")
    assert raised.value.name == name


def test_create_modify_delete(world: World, script: Script) -> None:
    fields = {"name": f"By {script.client}", "code": script.client, **world.links}
    made = script("create", service="imptracker", fields=fields, advertiser_id=world.advertiser)
    assert (made["name"], made["state"], made["line_item"]["name"]) == (fields["name"], "active", "Spring")
    changed = script("modify", service="imptracker", row_id=made["id"], fields={"state": "inactive"})
    assert changed == {**made, "state": "inactive", "last_modified": changed["last_modified"]}
    assert script("read", service="imptracker", row_id=made["id"]) == changed
    assert script("delete", service="imptracker", ids=[made["id"]]) == 1
    assert world.api.list("imptracker", id=f"{made['id']},0") == []


def test_delete_several(world: World, script: Script) -> None:
    fields = {"name": "Short-lived", "click_url": "https://landing.example/", **world.links}
    made = [world.api.create("clicktracker", fields, advertiser_id=world.advertiser)["id"] for _ in range(3)]
    assert script("delete", service="clicktracker", ids=made) == 3
    assert world.api.list("clicktracker", id=",".join(map(str, made))) == []


def test_find_more_than_250_objects_by_pages(world: World, script: Script) -> None:
    query = {"advertiser_id": world.advertiser, "max_id": world.trackers[-1], "sort": "id.desc"}
    found = script("find", service="imptracker", **query)
    assert TRACKERS > 250
    assert [tracker["id"] for tracker in found] == world.trackers[::-1]


@pytest.mark.parametrize("script", ["appnexus-client"], indirect=True)
def test_a_cursor_counts_and_leaps(world: World, script: Script) -> None:
    query = {"advertiser_id": world.advertiser, "max_id": world.trackers[-1], "sort": "id.asc"}
    found = script("cursor", service="imptracker", place=130, **query)
    assert found == {"count": TRACKERS, "at": world.trackers[130], "first": world.trackers[0], "five": 5}


@pytest.mark.parametrize(
    ("script", "name", "text"),
    [
        ("appnexus-client", "AppNexusException", "NOTFOUND_IMPTRACKER: imptracker id not found: 0"),
        ("nexusadspy", "NexusadspyAPIError", "SYNTAX', 'imptracker id not found: 0"),
        pytest.param("anx-api", "SYNTAX", "id not found: 0", id="anx-api raises nothing: the envelope says it"),
    ],
    indirect=["script"],
)
def test_what_is_not_there(script: Script, name: str, text: str) -> None:
    with pytest.raises(ClientRaised) as raised:
        script("read", service="imptracker", row_id=0)
    assert raised.value.name == name
    assert text in raised.value.text


@pytest.mark.parametrize("script", ["appnexus-client"], indirect=True)
def test_a_model_puts_back_all_that_it_was_answered(world: World, script: Script) -> None:
    fields = {"name": "Model", "click_url": "https://landing.example/", **world.links}
    saved = script("save_twice", fields=fields, advertiser_id=world.advertiser)
    assert world.api.get("clicktracker", saved["id"])["name"] == saved["name"] == "Renamed"


def test_find_nothing(world: World, script: Script) -> None:
    assert script("find", service="imptracker", advertiser_id=world.other_advertiser) == []


@pytest.mark.parametrize(
    "script",
    [
        pytest.param("appnexus-client", id="appnexus-client"),
        pytest.param("nexusadspy", id="nexusadspy has no append: PUT with append=true"),
        pytest.param("anx-api", id="anx-api has no append: PUT with append=true"),
    ],
    indirect=True,
)
def test_append(world: World, script: Script) -> None:
    first, second = {"id": world.advertiser}, {"id": world.other_advertiser}
    fields = {"name": "Survey", "format": "url-js", "url": "http://x.example/p", "advertisers": [first]}
    made = script("create", service="thirdparty-pixel", fields=fields)
    for _ in range(2):
        longer = script("append", service="thirdparty-pixel", row_id=made["id"], fields={"advertisers": [second]})
        assert [owner["id"] for owner in longer["advertisers"]] == [world.advertiser, world.other_advertiser]
    replaced = script("modify", service="thirdparty-pixel", row_id=made["id"], fields={"advertisers": [second]})
    assert [owner["id"] for owner in replaced["advertisers"]] == [world.other_advertiser]


@pytest.mark.parametrize(
    "script",
    [
        pytest.param("appnexus-client", id="appnexus-client"),
        pytest.param("nexusadspy", id="nexusadspy has no meta: GET of the path"),
        pytest.param("anx-api", id="anx-api has no meta: GET of the path"),
    ],
    indirect=True,
)
def test_meta(script: Script) -> None:
    assert {"id", "name", "state", "publisher", "line_item", "search"} <= set(script("meta", service="imptracker"))


def wait_until_counted(world: World) -> None:
    """Wait until the impressions are in a report."""
    wanted = {"report_type": "network_analytics", "columns": ["imps"], "report_interval": "lifetime"}
    world.api.report(wanted, lambda rows: rows == [{"imps": str(IMPRESSIONS)}])


@pytest.mark.parametrize(
    ("script", "more"),
    [
        pytest.param("appnexus-client", {"timezone": "UTC", "report_interval": "lifetime"}, id="appnexus-client"),
        pytest.param("nexusadspy", {}, id="nexusadspy, with its defaults"),
        pytest.param(
            "anx-api",
            {"timezone": "UTC", "report_interval": "last_2_days"},
            id="anx-api has no report: POST, GET, download",
        ),
    ],
    indirect=["script"],
)
def test_report(world: World, script: Script, more: dict[str, Any]) -> None:
    columns = ["line_item_name", "external_impression", "imps"]
    wanted: dict[str, Any] = {"report_type": "network_analytics", "columns": columns}
    wait_until_counted(world)
    assert script("report", wanted={**wanted, **more}) == [columns, ["Spring", str(IMPRESSIONS), str(IMPRESSIONS)]]


@pytest.mark.parametrize("script", ["nexusadspy"], indirect=True)
def test_report_of_one_advertiser_between_dates(world: World, script: Script) -> None:
    today = datetime.now(UTC)
    wanted = {
        "report_type": "network_analytics",
        "columns": ["imps"],
        "start_date": f"{today - timedelta(days=1):%Y-%m-%d}",
        "end_date": f"{today + timedelta(days=2):%Y-%m-%d}",
    }
    wait_until_counted(world)
    for advertiser, lines in (
        (world.advertiser, [[str(IMPRESSIONS), str(world.advertiser)]]),
        (world.other_advertiser, []),
    ):
        found = script("report", wanted={**wanted, "advertiser_ids": advertiser})
        assert found[1:] == lines


@pytest.mark.parametrize(
    "script",
    [
        pytest.param("appnexus-client", id="appnexus-client"),
        pytest.param("nexusadspy", id="nexusadspy"),
        pytest.param("anx-api", id="anx-api has no login of its own accord: it raises NotAuthenticatedError"),
    ],
    indirect=True,
)
@pytest.mark.parametrize(
    ("column", "age_ms"),
    [("used_ms", IDLE_MS + TOUCH_MS), ("created_ms", DAY_MS)],
    ids=["two hours without use", "a day after login"],
)
def test_a_token_that_has_expired(world: World, script: Script, column: str, age_ms: int) -> None:
    before = script("token")
    with closing(sqlite3.connect(world.product.data_dir / "config.sqlite3", timeout=10)) as store, store:
        mine = "user_id = (SELECT id FROM user WHERE username = ?)"
        store.execute(f"UPDATE session SET {column} = {column} - ? WHERE {mine}", (age_ms, script.client))
    assert script("read", service="imptracker", row_id=world.trackers[130])["id"] == world.trackers[130]
    after = script("token")
    assert after != before
    assert script("read", service="imptracker", row_id=world.trackers[130])["id"] == world.trackers[130]
    assert script("token") == after


@pytest.mark.parametrize("script", CLIENTS)
def test_past_the_limits_the_client_waits_and_goes_on(
    served: ServedApi, start_script: StartScript, script: str
) -> None:
    client = start_script(script, served.url)
    client("log_in", username="admin", password=served.password)
    served.use_up()
    assert client("read", service="member", row_id=1)["id"] == 1
    assert served.answers in ANSWERS
    served.use_up()
    made = client("create", service="advertiser", fields={"name": f"Of {script}"})
    assert served.answers in ANSWERS
    assert [found["id"] for found in client("find", service="advertiser", name=f"Of {script}")] == [made["id"]]
