"""The page of two replicas on PostgreSQL behind one name, signed in, in a real browser."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.postgres import Postgres
from tests.service import IpamdProcess, running_replicas
from tests.waiting import eventually
from tests.web.conftest import fill
from tests.web.one_name import one_name
from tests.web.windows import PATIENCE, PORTIONS, Scheme, Watched, faults

SHOWN: dict[int, Scheme] = {360: "light"}
"""The others are in `test_browser`."""


@dataclass(frozen=True)
class Cluster:
    """Two replicas behind one name, and an admin's and a reader's token."""

    home: str
    replicas: list[IpamdProcess]
    admin: str
    reader: str


@pytest.fixture(scope="module")
def cluster(postgres: Postgres) -> Iterator[Cluster]:
    with (
        postgres.migrated() as database,
        running_replicas(postgres.url(database)) as replicas,
        one_name(replicas) as name,
    ):
        http = replicas[0].http
        fill(http)
        tokens = []
        for role, called in (("admin", "ann"), ("reader", "bob")):
            tokens.append(http.post("/v1/tokens", json={"role": role, "name": called}).json()["token"])
            for replica in replicas:
                replica.http.headers["Authorization"] = f"Bearer {tokens[0]}"
        for token in tokens:
            eventually(partial(are_known, replicas, token))
        yield Cluster(name.address, replicas, *tokens)


def are_known(replicas: Sequence[IpamdProcess], token: str) -> bool:
    """Whether all replicas have heard of a token: each hears of changes a moment later than who made them."""
    asking = {"Authorization": f"Bearer {token}"}
    return all(replica.http.get("/v1/pools", headers=asking).is_success for replica in replicas)


def sign_in(page: Page, home: str, token: str, leads_to: str = "/ui/nodes") -> None:
    page.goto(home + leads_to)
    page.get_by_label("Token").fill(token)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("button", name="Sign out")).to_be_visible(timeout=PATIENCE)


@pytest.fixture(scope="module")
def signed_in(chromium: Browser, cluster: Cluster) -> Any:
    """What a browser keeps of an admin's sign-in."""
    context = chromium.new_context()
    context.set_default_timeout(PATIENCE)
    sign_in(context.new_page(), cluster.home, cluster.admin)
    state = context.storage_state()
    context.close()
    return state


@pytest.mark.parametrize("views", PORTIONS)
def test_every_view_is_accessible_fits_its_window_and_asks_nobody_else(
    chromium: Browser, cluster: Cluster, signed_in: Any, views: list[str]
) -> None:
    assert faults(chromium, cluster.home, views, SHOWN, storage_state=signed_in) == {}


def test_whatever_replica_answers_a_change_is_seen_at_once_and_the_end_of_one_is_survived(
    chromium: Browser, cluster: Cluster, signed_in: Any
) -> None:
    context = chromium.new_context(storage_state=signed_in)
    seen = Watched(context, cluster.home)
    page = seen.open("/ui/new/pool")
    page.get_by_label("Name", exact=True).fill("replicated")
    page.get_by_label("Subnet", exact=True).fill("10.77.0.0/24")
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_role("heading", name="replicated")).to_be_visible()
    for _ in cluster.replicas:
        page.reload()
        expect(page.get_by_role("heading", name="replicated")).to_be_visible()

    page.goto(f"{cluster.home}/?q=replicated")
    held = page.locator("#r-replicated td").nth(5)
    expect(held).to_have_text("0")
    expect(page.locator(".live .state")).to_have_text("Live")
    given = {"owner": "seen", "pool": "replicated"}
    assert all(replica.http.post("/v1/allocations", json=given).is_success for replica in cluster.replicas)
    expect(held).to_have_text("2", timeout=PATIENCE)
    assert seen.complaints == []

    cluster.replicas[1].stop()
    assert cluster.replicas[0].http.post("/v1/allocations", json=given).is_success
    expect(held).to_have_text("3", timeout=PATIENCE)
    expect(page.locator(".live .state")).to_have_text("Live", timeout=PATIENCE)
    cluster.replicas[1].start()
    context.close()


def test_a_readers_forged_form_of_an_admin_is_refused_and_changes_nothing(
    chromium: Browser, cluster: Cluster
) -> None:
    context = chromium.new_context()
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    sign_in(page, cluster.home, cluster.reader, "/ui/pools/pods")
    expect(page.get_by_role("link", name="Delete")).to_have_count(0)

    page.evaluate(
        """() => {
            const form = document.createElement("form");
            form.method = "post";
            form.action = "/ui/delete/pool/wide";
            document.body.append(form);
            form.submit();
        }"""
    )

    expect(page.get_by_role("alert")).to_contain_text("reader")
    assert cluster.replicas[0].http.get("/v1/pools/wide").is_success
    context.close()


def test_a_token_that_is_revoked_ends_the_visit_while_the_page_is_open(
    chromium: Browser, cluster: Cluster
) -> None:
    http = cluster.replicas[0].http
    made = http.post("/v1/tokens", json={"role": "reader", "name": "short"}).json()
    eventually(partial(are_known, cluster.replicas, made["token"]))
    context = chromium.new_context()
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    sign_in(page, cluster.home, made["token"])
    expect(page.locator(".live .state")).to_have_text("Live", timeout=PATIENCE)

    assert http.delete(f"/v1/tokens/{made['id']}").is_success

    expect(page.locator(".live .state")).to_contain_text("You are not signed in", timeout=PATIENCE)
    page.get_by_role("link", name="Tree").click()
    expect(page.get_by_label("Token")).to_be_visible()
    context.close()
