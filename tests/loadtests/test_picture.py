"""The picture of a result."""

from __future__ import annotations

from xml.etree import ElementTree

from loadtests.bench import picture


def result(*rows: tuple[str, float, float]) -> dict[str, object]:
    content = [
        {"name": name, "values": {"loop, user": [user], "loop, kernel": [kernel]}, "others": []}
        for name, user, kernel in rows
    ]
    return {"options": {"rounds": 3}, "tables": {"breakdown": {"title": "", "rows": content, "notes": []}}}


def test_one_bar_per_server_with_the_cheapest_first() -> None:
    drawn = picture.svg(result(("edge & co", 4.0, 6.0), ("nginx", 1.0, 2.5)))
    texts = [element.text for element in ElementTree.fromstring(drawn).iter("{http://www.w3.org/2000/svg}text")]  # noqa: S314
    assert texts[4:] == ["nginx", "3.5", "edge & co", "10.0", "microseconds, medians of 3 rounds"]
