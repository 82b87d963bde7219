"""Tables for spreadsheets over REST."""

import csv

import httpx
import pytest

from tests.api.conftest import NewPool


@pytest.mark.parametrize("kind", ["pools", "reservations", "allocations"])
def test_a_table_is_downloaded_with_its_name(http: httpx.Client, kind: str) -> None:
    answer = http.get(f"/v1/csv/{kind}")

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == f'attachment; filename="{kind}.csv"'


def test_a_table_has_every_row_over_all_portions(http: httpx.Client, new_pool: NewPool) -> None:
    pool = new_pool(subnet="10.230.0.0/20")["name"]
    reservations = [{"address": f"10.230.8.{number}", "owner": f"=o{number}"} for number in range(200)]
    assert http.post("/v1/apply", json={"reservations": reservations}).is_success
    for number in range(5):
        http.post("/v1/allocations", json={"owner": f"csv-{number}", "pool": pool})

    pools = list(csv.DictReader(http.get("/v1/csv/pools").text.splitlines()))
    kept = list(csv.DictReader(http.get("/v1/csv/reservations").text.splitlines()))
    held = list(csv.DictReader(http.get("/v1/csv/allocations").text.splitlines()))

    assert [row["subnet"] for row in pools if row["name"] == pool] == ["10.230.0.0/20"]
    assert [row["owner"] for row in kept] == [f"'=o{number}" for number in range(200)]
    assert [row["owner"] for row in held if row["pool"] == pool] == [f"csv-{number}" for number in range(5)]


def test_there_are_no_tables_of_other_things(http: httpx.Client) -> None:
    assert http.get("/v1/csv/tokens").status_code == 422


def table(http: httpx.Client, kind: str, text: str, **more: bool) -> httpx.Response:
    return http.post(f"/v1/csv/{kind}", json={"text": text, **more})


def test_a_table_is_applied_as_a_file_is(http: httpx.Client) -> None:
    text = "\ufeffname;subnet;gateway;auto_assign\r\ncsv-1;10.231.0.0/24;none;FALSE\r\n"

    dry = table(http, "pools", text, dry_run=True)
    missing = http.get("/v1/pools/csv-1").status_code
    done, again = table(http, "pools", text), table(http, "pools", text)

    assert (dry.json()["dry_run"], missing) == (True, 404)
    assert [change["action"] for change in done.json()["changes"]] == ["create"]
    assert dry.json()["changes"] == done.json()["changes"]
    assert (again.json()["changes"], again.json()["unchanged"]) == ([], 1)
    assert http.get("/v1/pools/csv-1").json()["gateway"] is None


def test_a_dry_run_lists_every_conflict(http: httpx.Client) -> None:
    http.post("/v1/reservations", json={"address": "10.232.0.9", "owner": "lb"})
    text = "address,owner\n10.232.0.8/29,a\n10.232.0.77,b\n10.232.0.9-10.232.0.20,c\n"

    refused = table(http, "reservations", text, dry_run=True)

    assert (refused.status_code, refused.json()["code"]) == (409, "not-applied")
    assert [each["what"] for each in refused.json()["refusals"]] == [
        "reservation 10.232.0.8/29",
        "reservation 10.232.0.9-10.232.0.20",
    ]
    assert http.get("/v1/reservations?address=10.232.0.77").json()["items"] == []


@pytest.mark.parametrize(
    ("kind", "text", "field"),
    [
        ("pools", "name,subnet\na,10.0.0.0/33\nb,x\n", "line 2 subnet"),
        ("pools", "name,subnet\na,10.233.0.0/24\na,10.234.0.0/24\n", "line 3 name"),
        ("pools", "name,subnet,routes\na,10.233.0.0/24,7\n", "line 2 routes"),
        ("pools", "name,subnet,dns\na,10.233.0.0/24,{\n", "line 2"),
        ("pools", "name,net\n", "line 1"),
        ("pools", "name\na\n", "line 2 subnet"),
        ("reservations", "address,name\n\n10.0.0.1,web\n", "line 3 namespace"),
        ("reservations", "address\n" + "10.0.0.1\n" * 20_001, "line 20002"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(http: httpx.Client, kind: str, text: str, field: str) -> None:
    answer = table(http, kind, text)

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
    assert answer.json()["errors"][0]["field"] == field


def test_a_table_of_allocations_gives_owners_their_addresses_once(
    http: httpx.Client, new_pool: NewPool
) -> None:
    new_pool(subnet="10.235.0.0/24")
    text = "\ufeffowner;address;namespace;name\r\n'=lb;10.235.0.9;;\r\nvm-1;10.235.0.10;web;front\r\n"

    dry = table(http, "allocations", text, dry_run=True)
    before = http.get("/v1/allocations?address=10.235.0.9").json()["items"]
    done, again = table(http, "allocations", text), table(http, "allocations", text)

    assert (dry.status_code, before) == (200, [])
    assert [each["owner"] for each in done.json()["given"]] == ["=lb", "vm-1"]
    assert dry.json() == {**done.json(), "dry_run": True}
    assert (again.json()["given"], again.json()["unchanged"]) == ([], 2)
    [held] = http.get("/v1/allocations?address=10.235.0.10").json()["items"]
    assert (held["owner"], held["namespace"], held["name"]) == ("vm-1", "web", "front")
    exported = http.get("/v1/csv/allocations").text
    assert table(http, "allocations", exported).json()["given"] == []


def test_a_table_of_allocations_is_given_whole_or_not_at_all(http: httpx.Client, new_pool: NewPool) -> None:
    new_pool(subnet="10.236.0.0/24", exclusions=["10.236.0.20"])
    http.post("/v1/allocations", json={"owner": "first", "address": "10.236.0.9"})
    http.post("/v1/reservations", json={"address": "10.236.0.30", "owner": "kept"})
    rows = ("free,10.236.0.8", "late,10.236.0.9", "out,10.236.0.20", "for,10.236.0.30", "far,203.0.113.99")

    refused = table(http, "allocations", "owner,address\n" + "\n".join(rows))

    assert (refused.status_code, refused.json()["code"]) == (409, "not-applied")
    assert [each["what"] for each in refused.json()["refusals"]] == [
        "10.236.0.9 for late",
        "10.236.0.20 for out",
        "10.236.0.30 for for",
        "203.0.113.99 for far",
    ]
    assert http.get("/v1/allocations?address=10.236.0.8").json()["items"] == []


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("owner,address\na,10.0.0\n", "line 2 address"),
        ("owner,address\n\na,\n", "line 3 address"),
        ("owner,address\na,10.0.0.1\nb,10.0.0.1\n", "line 3 address"),
        ("owner,address\nnode:default/n1,10.0.0.1\n", "line 2 owner"),
        ("owner,address\nlease:default/n1/7,10.0.0.1\n", "line 2 owner"),
        ("address\n10.0.0.1\n", "line 2 owner"),
        ("owner,address\n" + "a,10.0.0.1\n" * 1_001, "line 1002"),
    ],
)
def test_what_is_wrong_in_a_table_of_allocations_is_told_with_its_line(
    http: httpx.Client, text: str, field: str
) -> None:
    answer = table(http, "allocations", text)

    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)


def test_rows_of_containers_are_left_alone(http: httpx.Client) -> None:
    text = "address,owner,container_id,ifname,since\n10.0.0.7,,c1,eth0,2026-01-31T12:00:00Z\n"

    assert table(http, "allocations", text).json() == {
        "dry_run": False,
        "given": [],
        "unchanged": 0,
        "containers": 1,
    }
