"""Tables for spreadsheets by `ipamctl export --csv` and `apply`."""

import csv
from pathlib import Path

from tests.ctl.conftest import Ipamctl


def test_pools_and_reservations_go_out_to_a_spreadsheet_and_come_back(
    ipamctl: Ipamctl, scratch: Path
) -> None:
    ipamctl(
        "pool", "create", "lab", "--subnet", "10.42.0.0/24", "--exclude", "10.42.0.128/25", "--no-gateway"
    )
    ipamctl("pool", "create", "six", "--subnet", "fd00:42::/64", "--route", "::/0", "--node-label", "rack=r1")
    ipamctl("reservation", "create", "10.42.0.9", "--owner", "lb", "--note", '=HYPERLINK("x")')
    before = ipamctl("export")
    tables = {}
    for kind in ("pools", "reservations"):
        tables[kind] = scratch / f"{kind}.csv"
        tables[kind].write_text(ipamctl("export", "--csv", kind), newline="")
    files = [part for path in tables.values() for part in ("-f", str(path))]
    assert ipamctl("apply", *files) == "nothing to do; 3 unchanged\n"
    with tables["reservations"].open(newline="") as table:
        assert [row["note"] for row in csv.DictReader(table)] == ['\'=HYPERLINK("x")']

    for name in ("lab", "six"):
        ipamctl("pool", "delete", name)
    ipamctl("reservation", "delete", str(ipamctl.json("reservation", "list")["items"][0]["id"]))
    ipamctl("apply", *files)

    assert ipamctl("export") == before


def test_a_dry_run_of_a_table_lists_every_conflict_and_changes_nothing(
    ipamctl: Ipamctl, scratch: Path
) -> None:
    ipamctl("pool", "create", "lab", "--subnet", "10.42.0.0/24")
    ipamctl("reservation", "create", "10.42.0.9", "--owner", "lb")
    before = ipamctl("export")
    table = scratch / "kept.csv"
    table.write_bytes(
        "\ufeffaddress;owner\r\n10.42.0.8/29;a\r\n10.42.0.9-10.42.0.20;b\r\n10.42.0.77;c\r\n".encode()
    )

    done = ipamctl.run("apply", "-f", str(table), "--dry-run")

    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert lines[0] == "ipamctl: nothing was applied"
    refused = [line.split()[2] for line in lines[1:]]
    assert refused == ["10.42.0.8/29:", "10.42.0.9-10.42.0.20:"]
    assert ipamctl("export") == before


def test_a_field_that_is_wrong_is_told_with_its_line(ipamctl: Ipamctl, scratch: Path) -> None:
    table = scratch / "pools.csv"
    table.write_text("name,subnet,cooldown\nlab,10.42.0.0/24,5\nyard,10.43.0.0/33,5\n")
    wrong = ipamctl.run("apply", "-f", str(table))
    table.write_text("name,subnet,cooldown\nlab,10.42.0.0/24,soon\n")

    assert f"{table}:3: pools[1].subnet" in wrong.stderr
    assert ipamctl.refused("apply", "-f", str(table), exit_code=2).startswith(f"{table}:2: cooldown: 'soon'")


def test_allocations_go_out_as_a_table(ipamctl: Ipamctl) -> None:
    ipamctl("pool", "create", "lab", "--subnet", "10.42.0.0/24")
    for owner in ("vm-1", "@vm"):
        ipamctl("allocation", "create", owner, "--pool", "lab")

    rows = list(csv.DictReader(ipamctl("export", "--csv", "allocations").splitlines()))

    assert [(row["address"], row["pool"], row["owner"]) for row in rows] == [
        ("10.42.0.2", "lab", "vm-1"),
        ("10.42.0.3", "lab", "'@vm"),
    ]
