"""The requests of the bench, and the trackers of its growth part."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from loadtests.bench import browsers, growth
from onebyone.contracts import keys
from onebyone.contracts.configuration import TrackerRecord
from onebyone.contracts.events import Kind
from onebyone.edge.fastpath import request_parser
from tests.support.valkey import ValkeyProcess


@pytest.mark.parametrize(
    ("target", "kind"), [(browsers.IMPRESSION, "imp"), (browsers.SCRIPT, "imp"), (browsers.CLICK, "clk")]
)
@pytest.mark.parametrize("connection", ["keep-alive", "close"])
def test_requests_are_plain_and_all_different(tmp_path: Path, target: str, kind: Kind, connection: str) -> None:
    requests = browsers.read_requests(
        browsers.write_requests(tmp_path / "file", "127.0.0.1:8080", target, connection=connection)
    )
    assert len(set(requests)) == len(requests) == 4096
    for request in requests:
        read = request_parser.parse_request(request)
        assert read is not None
        assert (read.kind, read.tag.tracker_id, read.close) == (kind, 531, connection == "close")


@pytest.mark.parametrize(
    ("ids", "least", "length"),
    [
        pytest.param((5, 6), 5, 5, id="few ids come again"),
        pytest.param(range(100, 200), 5, 100, id="each of many comes"),
    ],
)
def test_ids_rotate(tmp_path: Path, ids: Sequence[int], least: int, length: int) -> None:
    path = browsers.write_requests(tmp_path / "file", "127.0.0.1:8080", ids=ids, least=least)
    parsed = [request_parser.parse_request(request) for request in browsers.read_requests(path)]
    assert [read.tag.tracker_id for read in parsed if read] == [ids[at % len(ids)] for at in range(length)]


def test_cache_holds_a_record_of_each_tracker(valkey: ValkeyProcess) -> None:
    growth.fill_cache(valkey, 5)
    hot = growth.Size(5, 5).ids
    with valkey.client() as client:
        texts = client.mget([keys.tracker_key("imp", number) for number in hot])
        assert client.exists(keys.HEAD)
    records = [TrackerRecord.decode(text) for text in texts]
    assert [record.id for record in records] == list(hot)
    assert {(record.kind, record.active, bool(record.terms)) for record in records} == {("imp", True, True)}
