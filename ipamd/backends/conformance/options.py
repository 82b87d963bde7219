"""The suite's options, as a plugin of pytest: `-p ipamd.backends.conformance.options`."""

from __future__ import annotations

from typing import Final

import pytest

from ipamd.backends.conformance.harness import Harness, InFolder, named

HARNESS: Final = pytest.StashKey[Harness]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Say which backend is tried."""
    group = parser.getgroup("ipamd", "the backend of ipamd that is tried")
    group.addoption("--backend-url", metavar="URL", help="a URL with {folder} in it, a new one for each test")
    group.addoption("--backend-harness", metavar="MODULE:OBJECT", help="where databases come from, else")


def pytest_configure(config: pytest.Config) -> None:
    """Find the harness; a wrong option ends the run with a sentence."""
    url, place = config.getoption("backend_url"), config.getoption("backend_harness")
    if (url is None) == (place is None):
        raise pytest.UsageError(
            "name the backend: either --backend-url URL or --backend-harness MODULE:OBJECT"
        )
    try:
        config.stash[HARNESS] = InFolder(url) if url is not None else named(place)
    except (ValueError, ImportError) as error:
        raise pytest.UsageError(str(error)) from error


def pytest_report_header(config: pytest.Config) -> str:
    """What the backend says of itself, for it decides which promises it is held to."""
    harness = config.stash[HARNESS]
    lasting = "lasts" if harness.lasting else "does not last: durability does not apply"
    shared = "may be open several times" if harness.shared else "is open once at a time"
    return f"ipamd backend: a database {lasting}, {shared}"
