"""The documentation site: a strict build of `docs/` that has every page in its navigation and asks no other host."""

from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.support.tiers import starts_processes

DOCS = Path(__file__).parents[1] / "docs"
PAGES = sorted(path.stem for path in DOCS.glob("*.md"))

LOADED = {"src", "srcset", "poster", "data"}
"""Attributes that a browser follows without a click, on any element; on `link` it is `href`."""

IN_STYLES = re.compile(r"""(?:url\(\s*['"]?|@import\s*['"])(?:https?:)?//""")
IN_SCRIPTS = re.compile(
    r"""(?:fetch|importScripts|import|open|Worker|WebSocket|EventSource)\(\s*['"`](?:(?:https?|wss?):)?//"""
)


def build(source: Path, site: Path) -> subprocess.CompletedProcess[str]:
    """Run the strict build of `make docs`."""
    command = [sys.executable, "-m", "sphinx", "--builder", "html", "--fail-on-warning", "--keep-going", "--quiet"]
    return subprocess.run(
        [*command, "-d", f"{site}-doctrees", str(source), str(site)], capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
@starts_processes
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("docs") / "site"
    built = build(DOCS, folder)
    assert built.returncode == 0, built.stderr
    return folder


class LoadedUrls(HTMLParser):
    """Collects the URLs that a page makes the browser fetch, and the targets of its links."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.linked: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if value is not None and (name in LOADED or (tag == "link" and name == "href")):
                self.fetched.append(value)
            if value is not None and tag == "a" and name == "href":
                self.linked.append(value)


def urls(page: Path) -> LoadedUrls:
    parser = LoadedUrls()
    parser.feed(page.read_text())
    return parser


def test_pages_fetch_nothing_from_another_host(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > len(PAGES)
    fetched = {url for page in pages for url in urls(page).fetched}
    assert any(url.startswith("_static/") for url in fetched)
    assert [url for url in fetched if re.match(r"(?:\w+:)?//", url)] == []


@pytest.mark.parametrize(("suffixes", "pattern"), [({".css", ".html"}, IN_STYLES), ({".js", ".html"}, IN_SCRIPTS)])
def test_styles_and_scripts_name_no_other_host(site: Path, suffixes: set[str], pattern: re.Pattern[str]) -> None:
    files = [path for path in site.rglob("*") if path.suffix in suffixes]
    assert files
    assert [path.name for path in files if pattern.search(path.read_text())] == []


def test_every_page_is_in_the_navigation(site: Path) -> None:
    _, _, navigation = (site / "index.html").read_text().partition('<div class="sidebar-tree">')
    sidebar = LoadedUrls()
    sidebar.feed(navigation.partition("</div>")[0])
    assert sorted(["index", *(target.removesuffix(".html") for target in sidebar.linked)]) == PAGES


def test_the_first_page_is_the_life_of_an_impression(site: Path) -> None:
    assert (
        'rel="next" title="The life of an impression" href="life-of-an-impression.html"'
        in (site / "index.html").read_text()
    )


@pytest.mark.processes
def test_broken_links_and_orphan_pages_fail_the_build(tmp_path: Path) -> None:
    source = tmp_path / "docs"
    source.mkdir()
    (tmp_path / "pyproject.toml").write_text('[project]\nversion = "1"\n')
    (source / "conf.py").write_text((DOCS / "conf.py").read_text())
    (source / "index.md").write_text("# A\n\n[page](gone.md), [heading](#nowhere), [heading](orphan.md#nowhere-else)\n")
    (source / "orphan.md").write_text("# B\n")
    built = build(source, tmp_path / "site")
    assert built.returncode != 0
    orphan = "orphan.md: WARNING: document isn't included in any toctree"
    for warning in ("'gone.md'", "'nowhere'", "'nowhere-else'", orphan):
        assert warning in built.stderr
