"""Nonsense in every part of every address of the page is a sentence, on SQLite and on PostgreSQL."""

import re
from collections.abc import Iterator

import pytest

from ipamd.web import changes, curves, lists, pools, requests, spaces, transfer
from tests.postgres import Postgres
from tests.service import IpamdProcess, running_service
from tests.web.conftest import Browser, browser, fill

NONSENSE = ("%00", "a%ff", "%ED%A0%80", "9" * 400, "%27%22%3Cb%3E%E2%80%AE", "%5C..%2F..", "-1")
ROUTES = [
    route
    for part in (pools, curves, spaces, lists, changes, requests, transfer)
    for route in part.ROUTES
    if "GET" in (route.methods or ())
]
FILTERS = {
    "/": ("q", "space", "after"),
    "/ui/map": ("space", "at"),
    "/ui/pools/pods/map": ("at", "address"),
    "/ui/tree": ("space", "free", "after", "open", "at"),
    "/ui/search": ("q",),
    "/ui/allocations": ("pool", "cluster", "node", "network", "namespace", "name", "container_id", "owner"),
    "/ui/history": ("address", "space", "namespace", "name", "cluster", "node", "at", "after", "before"),
    "/ui/nodes": ("cluster", "cursor"),
    "/ui/reservations": ("space", "namespace", "name", "owner", "address", "cursor"),
    "/ui/log": ("kind", "name", "by", "after", "before", "cursor"),
    "/ui/explain": (
        *("node", "cluster", "network", "namespace", "name", "pools", "addresses", "owner", "prefix"),
    ),
    "/ui/requests": ("state", "by", "cursor"),
    "/ui/addresses/10.64.0.9": ("space", "cursor"),
    "/ui/nodes/default/n1": ("cursor",),
    "/ui/new/allocation": ("pool", "address", "owner"),
    "/ui/quotas": ("cursor",),
    "/ui/holds": ("cursor",),
    "/ui/sign-in": ("next",),
}


def paths() -> Iterator[str]:
    """Each route that is read with nonsense in all its parts, and each filter of a view."""
    for nonsense in NONSENSE:
        for route in ROUTES:
            path = re.sub(r"\{[^}]+\}", nonsense, route.path)
            if path != route.path:
                yield path
        for noun in ("pool", "allocation", "reservation", "quota", "hold", "token"):
            yield f"/ui/delete/{noun}/{nonsense}"
        for verb in ("release", "delete"):
            yield f"/ui/{verb}/node/default/{nonsense}"
        yield from (f"{view}?{name}={nonsense}" for view, names in FILTERS.items() for name in names)


def failures(page: Browser) -> list[tuple[str, int, str]]:
    """What is neither a view nor a sentence that says why not."""
    found = []
    for path in paths():
        answer = page.get(path)
        said = answer.status_code < 400 or 'role="alert"' in answer.text
        if not said or answer.status_code >= 500:
            found.append((path, answer.status_code, answer.text[:200]))
    return found


@pytest.fixture(params=["SQLite", "PostgreSQL"])
def stored(request: pytest.FixtureRequest) -> Iterator[IpamdProcess]:
    if request.param == "SQLite":
        yield request.getfixturevalue("filled")
        return
    postgres: Postgres = request.getfixturevalue("postgres")
    with postgres.migrated() as database, running_service(database_url=postgres.url(database)) as service:
        fill(service.http)
        yield service


def test_nonsense_in_an_address_is_a_sentence_and_no_failure(stored: IpamdProcess) -> None:
    assert failures(browser(stored)) == []
