"""The change log over REST: every change of the catalogue, with what was before and after."""

from typing import Any

import httpx
import pytest

from tests.api.conftest import NewPool


def log(http: httpx.Client, **query: Any) -> list[dict[str, Any]]:
    """Entries of the change log, latest first."""
    answer = http.get("/v1/log", params=query)
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


def test_a_pools_life_is_in_the_log_as_rest_showed_it(http: httpx.Client, new_pool: NewPool) -> None:
    made = new_pool(selectors={"node_labels": {"rack": "ä"}}, dns={"search": ["x"]})
    name = made["name"]
    changed = http.patch(f"/v1/pools/{name}", json={"cooldown": 5}).json()
    http.post(f"/v1/pools/{name}/routes", json={"dst": "0.0.0.0/0", "mtu": 1400})
    routed = http.get(f"/v1/pools/{name}").json()
    http.delete(f"/v1/pools/{name}")

    entries = log(http, name=name)

    assert [(each["action"], each["before"], each["after"]) for each in entries] == [
        ("delete", routed, None),
        ("change", changed, routed),
        ("change", made, changed),
        ("create", None, made),
    ]
    assert {(each["kind"], each["by"]) for each in entries} == {("pool", "loopback")}
    assert entries[0]["at"] > entries[-1]["at"]


def test_what_changes_nothing_or_is_refused_or_a_dry_run_is_not_in_the_log(
    http: httpx.Client, new_pool: NewPool
) -> None:
    pool = new_pool()
    before = log(http)

    same = http.patch(f"/v1/pools/{pool['name']}", json={"cooldown": pool["cooldown"]})
    refused = http.patch(f"/v1/pools/{pool['name']}", json={"gateway": "192.0.2.1"})
    dry = http.post(
        "/v1/apply", json={"dry_run": True, "pools": [{"name": "dry", "subnet": "198.51.100.0/24"}]}
    )

    assert (same.status_code, refused.status_code, dry.status_code) == (200, 422, 200)
    assert log(http) == before


def test_reservations_labels_and_settings_are_in_the_log(http: httpx.Client) -> None:
    made = http.post(
        "/v1/reservations", json={"address": "203.0.113.7", "owner": "vm-1", "note": "<b>"}
    ).json()
    del made["warning"]
    http.delete(f"/v1/reservations/{made['id']}")
    http.put("/v1/nodes/east/n1", json={"labels": {"rack": "r1"}})
    http.put("/v1/nodes/east/n1", json={"labels": {"rack": "r2"}})
    http.patch("/v1/network", params={"cluster": "far"}, json={"mode": "vxlan"})

    reserved = log(http, kind="reservation", name="203.0.113.7")
    labelled = log(http, kind="node", name="east/n1")
    [settings] = log(http, kind="network", name="far")

    assert [(each["before"], each["after"]) for each in reserved] == [(made, None), (None, made)]
    assert [each["after"]["labels"] for each in labelled] == [{"rack": "r2"}, {"rack": "r1"}]
    assert labelled[0]["before"]["labels"] == {"rack": "r1"}
    assert settings["after"]["mode"] == "vxlan"


def test_a_file_that_is_applied_is_in_the_log_entry_by_entry(http: httpx.Client) -> None:
    body: dict[str, Any] = {
        "pools": [{"name": "filed", "subnet": "198.51.100.0/25"}],
        "reservations": [{"address": "198.51.100.9", "owner": "old"}],
    }
    http.post("/v1/apply", json=body)
    body["reservations"][0]["owner"] = "new"
    http.post("/v1/apply", json=body)

    assert [each["action"] for each in log(http, name="filed")] == ["create"]
    changed, created = log(http, name="198.51.100.9")
    assert (changed["action"], created["action"]) == ("change", "create")
    assert (changed["before"]["owner"], changed["after"]["owner"]) == ("old", "new")


def test_the_log_is_filtered_by_time_and_read_page_by_page(http: httpx.Client, new_pool: NewPool) -> None:
    for _ in range(5):
        new_pool()
    whole = log(http, kind="pool")
    middle = whole[2]

    assert log(http, kind="pool", before=middle["at"]) == [
        each for each in whole if each["at"] < middle["at"]
    ]
    assert log(http, kind="pool", after=middle["at"]) == [
        each for each in whole if each["at"] >= middle["at"]
    ]
    pages: list[dict[str, Any]] = []
    query: dict[str, str | int] = {"kind": "pool", "limit": 2}
    while (page := http.get("/v1/log", params=query).json())["next"] is not None:
        pages += page["items"]
        query["cursor"] = page["next"]
    pages += page["items"]
    assert pages == whole


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"kind": "allocation"}, "kind"),
        ({"after": "yesterday"}, "after"),
        ({"who": "ann"}, "who"),
        ({"name": ""}, "name"),
        ({"cursor": "x"}, "cursor"),
    ],
)
def test_a_filter_that_makes_no_sense_is_refused(
    http: httpx.Client, query: dict[str, str], field: str
) -> None:
    answer = http.get("/v1/log", params=query)

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
    assert field in answer.text
