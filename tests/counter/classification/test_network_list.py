"""Files of network ranges in the forms of all providers, and other files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from onebyone.counter.classification import network_list
from onebyone.counter.classification.network_list import NetworkListError, read_network_list

AWS = {
    "syncToken": "1795000000",
    "createDate": "2026-11-20-17-03-09",
    "prefixes": [
        {
            "ip_prefix": "203.0.113.0/24",
            "region": "eu-west-2",
            "service": "AMAZON",
            "network_border_group": "eu-west-2",
        },
        {"ip_prefix": "203.0.113.0/24", "region": "eu-west-2", "service": "EC2", "network_border_group": "eu-west-2"},
    ],
    "ipv6_prefixes": [{"ipv6_prefix": "2001:db8::/40", "region": "eu-west-2", "service": "EC2"}],
}
GOOGLE = {
    "syncToken": "1795000000000",
    "creationTime": "2026-11-21T10:00:00.123456",
    "prefixes": [
        {"ipv4Prefix": "203.0.113.0/24", "service": "Google Cloud", "scope": "africa-south1"},
        {"ipv6Prefix": "2001:db8::/40", "service": "Google Cloud", "scope": "africa-south1"},
    ],
}
AZURE = {
    "changeNumber": 412,
    "cloud": "Public",
    "values": [
        {
            "name": "ActionGroup",
            "id": "ActionGroup",
            "properties": {"regionId": 0, "systemService": "x", "addressPrefixes": ["203.0.113.0/24", "2001:db8::/40"]},
        }
    ],
}
ORACLE = {
    "last_updated_timestamp": "2026-11-22T12:00:00.000000",
    "regions": [
        {"region": "uk-london-1", "cidrs": [{"cidr": "203.0.113.0/24", "tags": ["OCI"]}, {"cidr": "2001:db8::/40"}]}
    ],
}
CLOUDFLARE = {
    "result": {"ipv4_cidrs": ["203.0.113.0/24"], "ipv6_cidrs": ["2001:db8::/40"], "etag": "38f79d05"},
    "success": True,
}
FASTLY = {"addresses": ["203.0.113.0/24"], "ipv6_addresses": ["2001:db8::/40"]}
TEXT = "# ours\n\n203.0.113.0/24 # rack 1\r\n2001:db8::/40\n"
GEOFEED = "203.0.113.0/24,GB,GB-LND,London,\n2001:db8::/40,DE,,,\n"


@pytest.mark.parametrize(
    ("name", "content", "version", "published"),
    [
        ("ip-ranges.json", AWS, "1795000000", "2026-11-20"),
        ("cloud.json", GOOGLE, "1795000000000", "2026-11-21"),
        ("ServiceTags_Public_20261123.json", AZURE, "412", "2026-11-23"),
        ("public_ip_ranges.json", ORACLE, "2026-11-22", "2026-11-22"),
        ("cloudflare-2026-11-24.json", CLOUDFLARE, "2026-11-24", "2026-11-24"),
        ("fastly-20261125", FASTLY, "2026-11-25", "2026-11-25"),
        ("own-2026-11-26.txt", TEXT, "2026-11-26", "2026-11-26"),
        ("own-2026-11-26.txt", "\ufeff" + TEXT, "2026-11-26", "2026-11-26"),
        ("geofeed-20261127.csv", GEOFEED, "2026-11-27", "2026-11-27"),
    ],
)
def test_forms_of_providers(tmp_path: Path, name: str, content: Any, version: str, published: str) -> None:
    path = tmp_path / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    found = read_network_list(path)
    assert sorted(map(str, found.networks)) == ["2001:db8::/40", "203.0.113.0/24"]
    assert found.version == (type(found.version))(name, version, published, 2)


def test_a_list_without_a_date_has_that_of_its_file(tmp_path: Path) -> None:
    path = tmp_path / "ranges-20269999.txt"
    path.write_text("203.0.113.0/24")
    assert len(read_network_list(path).version.date) == len("2026-11-30")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "no range"),
        ("# nothing\n", "no range"),
        ("{}", "no range"),
        ('{"prefixes": []}', "no range"),
        ('{"prefixes": [', "not JSON"),
        ("<html>404</html>", "not a network range: '<html>404</html>'"),
        ("203.0.113.0/24\n203.0.113.0/33\n", "not a network range: '203.0.113.0/33'"),
        ('{"ip_prefix": 7.5}', "not a network range: '7.5'"),
        ('{"ip_prefix": null}', "not a network range: 'None'"),
        ('{"addresses": [["203.0.113.0/24"]]}', "not a network range"),
        ("0.0.0.0/0", "larger than what any provider has"),
        ("64.0.0.0/7", "larger"),
        ("2000::/15", "larger"),
    ],
)
def test_a_file_with_anything_wrong_is_refused_as_a_whole(tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "list"
    path.write_text(content)
    with pytest.raises(NetworkListError) as error:
        read_network_list(path)
    assert words in str(error.value)


def test_files_and_lists_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "list"
    path.write_text("203.0.113.0/24\n" * 3 + "198.51.100.0/24")
    monkeypatch.setattr(network_list, "RANGES_MAX", 1)
    with pytest.raises(NetworkListError, match="more than 1 ranges"):
        read_network_list(path)
    monkeypatch.setattr(network_list, "BYTES_MAX", 5)
    with pytest.raises(NetworkListError, match="more than"):
        read_network_list(path)


def test_deep_json_is_no_stack_overflow(tmp_path: Path) -> None:
    path = tmp_path / "list"
    path.write_text('{"a":' * 900 + '{"ip_prefix":"203.0.113.0/24"}' + "}" * 900)
    assert len(read_network_list(path).networks) == 1
