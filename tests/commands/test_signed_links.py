"""`onebyone signing-key` and `onebyone sign` on a store of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from typer.testing import CliRunner, Result

from onebyone.cli import app
from onebyone.clock import now_ms
from onebyone.config_store import tables
from onebyone.contracts import keys
from onebyone.contracts.configuration import MemberRecord
from onebyone.contracts.signed_links import Signature, SigningKey, Verdict, verify
from onebyone.publishing.records import load_records
from onebyone.runtime import sql
from tests.support import api_harness

Command = Callable[..., Result]
TARGET = "https://münchen.example/a?b=c&d=%20#top"


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Prepare a store with a click tracker, and return its URL."""
    url = f"sqlite+aiosqlite:///{tmp_path / 'config.sqlite3'}"
    asyncio.run(_prepare(url))
    return url


async def _prepare(url: str) -> None:
    await api_harness.prepare(url)
    common = {"member_id": 1, "name": "x", "state": "active", "last_modified": "2026-01-01 00:00:00", "doc": {}}
    engine = sql.create_engine(url)
    async with sql.writing(engine) as connection:
        await connection.execute(tables.advertiser.insert().values(common))
        await connection.execute(tables.publisher.insert().values(common))
        await connection.execute(tables.line_item.insert().values(**common, advertiser_id=1))
        row = {**common, "advertiser_id": 1, "line_item_id": 1, "publisher_id": 1}
        await connection.execute(tables.clicktracker.insert().values(row))
    await engine.dispose()


@pytest.fixture
def onebyone(url: str) -> Command:
    """Run a command on the store."""

    def run(*arguments: str) -> Result:
        environment = {"ONEBYONE_DATABASE_URL": url, "ONEBYONE_PUBLIC_URL": "https://tags.example"}
        return CliRunner().invoke(app, list(arguments), env=environment)

    return run


def published_keys(url: str) -> tuple[SigningKey, ...]:
    """Return the keys in the record that the edges get of member 1."""

    async def load() -> MemberRecord:
        engine = sql.create_engine(url)
        async with engine.connect() as connection:
            records = await load_records(connection, [keys.member_key(1)])
        await engine.dispose()
        encoded = records[keys.member_key(1)]
        assert encoded is not None
        return MemberRecord.decode(encoded)

    return asyncio.run(load()).signing_keys


def outbox_length(url: str) -> int:
    """Return the number of changes that were given to the publisher."""

    async def count() -> int:
        engine = sql.create_engine(url)
        async with engine.connect() as connection:
            rows = (await connection.execute(tables.outbox.select())).all()
        await engine.dispose()
        return len(rows)

    return asyncio.run(count())


def test_keys_are_created_listed_without_secret_and_revoked(onebyone: Command, url: str) -> None:
    changes = outbox_length(url)
    first, second = (SigningKey(*onebyone("signing-key", "create").output.split()) for _ in range(2))
    assert set(published_keys(url)) == {first, second}
    listed = onebyone("signing-key", "list").output
    assert {line.split("\t")[0] for line in listed.splitlines()} == {first.kid, second.kid}
    assert first.secret not in listed
    assert onebyone("signing-key", "revoke", first.kid).exit_code == 0
    assert published_keys(url) == (second,)
    assert outbox_length(url) == changes + 3


def test_a_signed_link_is_valid_for_its_tracker_and_target(onebyone: Command, url: str) -> None:
    kid = onebyone("signing-key", "create").output.split()[0]
    signed = onebyone("sign", "1", TARGET, "--days", "2", "--kid", kid)
    assert signed.exit_code == 0, signed.output
    link = urlsplit(signed.output.strip())
    assert f"{link.scheme}://{link.netloc}{link.path}" == "https://tags.example/clktr"
    query = {name: values[0].encode() for name, values in parse_qs(link.query).items()}
    assert (query["id"], query["redir"]) == (b"1", TARGET.encode())
    signature, in_a_day = Signature(query["sig"], query["exp"], query["kid"]), now_ms() / 1000 + 86_400
    assert verify(signature, published_keys(url), 1, TARGET.encode(), in_a_day) is Verdict.VALID
    assert verify(signature, published_keys(url), 1, TARGET.encode(), in_a_day + 86_400) is Verdict.EXPIRED


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (("signing-key", "create", "--member", "9"), "no member 9"),
        (("signing-key", "revoke", "nokey"), "member 1 has no key nokey"),
        (("sign", "1", TARGET), "the member has no key: `onebyone signing-key create` makes one"),
        (("sign", "1", TARGET, "--kid", "x"), "the member has no key x: `onebyone signing-key create` makes one"),
        (("sign", "9", TARGET), "no click tracker 9"),
        (("sign", "1", "javascript:alert(1)"), "the target must be an http or https URL without user name, blanks"),
        (("sign", "1", "https://a.example/ b"), "the target must be an http or https URL without user name, blanks"),
        (("sign", "1", "https://a@b.example/"), "the target must be an http or https URL without user name, blanks"),
    ],
)
def test_faults_are_one_line(onebyone: Command, arguments: tuple[str, ...], fault: str) -> None:
    result = onebyone(*arguments)
    assert result.exit_code == 1
    assert f"onebyone: {fault}" in result.output
    assert len(result.output.strip().splitlines()) == 1


def test_a_member_has_at_most_ten_keys(onebyone: Command) -> None:
    for _ in range(10):
        assert onebyone("signing-key", "create").exit_code == 0
    assert "revoke one first" in onebyone("signing-key", "create").output
