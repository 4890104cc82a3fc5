"""Which tests are quick: those that start no process, and so run anywhere in under a minute (`make test-quick`).

A test is marked `processes` when it takes a fixture that says `@starts_processes`, or when it says so itself. An audit
hook holds the rest to it: a process that starts in a test without the mark fails that test, in every run.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import pytest

F = TypeVar("F", bound=Callable[..., Any])

_EVENTS = frozenset({"subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.system"})
_quick: list[str] = []
"""The quick test that runs, if one does."""


def starts_processes(function: F) -> F:
    """Mark a fixture function whose tests are not quick; stands below `@pytest.fixture`."""
    function.starts_processes = True  # type: ignore[attr-defined]
    return function


def mark(item: pytest.Function) -> None:
    """Mark a test `processes` when one of its fixtures starts some, or when it runs on the engine with a server."""
    definitions = item._fixtureinfo.name2fixturedefs.values()
    parameters = item.callspec.params.values() if hasattr(item, "callspec") else ()
    if "postgresql" in parameters or any(getattr(made[-1].func, "starts_processes", False) for made in definitions):
        item.add_marker("processes")


@contextmanager
def held_to_its_tier(item: pytest.Item) -> Iterator[None]:
    """Raise an error for a process that a quick test starts."""
    _quick[:] = [] if item.get_closest_marker("processes") else [item.nodeid]
    try:
        yield
    finally:
        _quick.clear()


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    # In this order: while the interpreter ends, both are None.
    if _quick and event in _EVENTS:
        advice = "mark the test `processes`, or its fixture `@starts_processes`"
        raise AssertionError(f"{_quick[0]} starts a process ({event} {arguments[:1]}): {advice}")


def install() -> None:
    """Begin to watch; an audit hook stays until the interpreter ends."""
    sys.addaudithook(_audit)
