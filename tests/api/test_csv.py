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


def test_allocations_are_not_applied(http: httpx.Client) -> None:
    assert table(http, "allocations", "address\n").status_code == 422
