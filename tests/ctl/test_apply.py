"""`ipamctl apply` and `export`: pools and reservations kept as a file."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.ctl.conftest import Ipamctl
from tests.service import IpamdProcess

FILE = """
pools:
  - name: pods-v4
    subnet: 10.64.0.0/16
    routes:
      - dst: 0.0.0.0/0
    exclusions: [10.64.255.0/24, 10.64.0.5-10.64.0.9]
    dns: {nameservers: [10.64.0.53], search: [cluster.local]}
    selectors:
      node_labels: {rack: "17", gpu: no}
  - name: pods-v6
    subnet: fd00:64::/64
    gateway: null
    cooldown: 10
    affinity: node
reservations:
  - address: 10.64.0.77
    namespace: web
    name: front-0
    note: |
      in the DNS of the shop,
      since: 2026-01-31
  - address: 1:2:3:4:5:6:7:8
"""


@pytest.fixture
def ipamd_process(lasting_ipamd: IpamdProcess) -> Iterator[IpamdProcess]:
    """One service for the module, empty for each test."""
    yield lasting_ipamd
    lasting_ipamd.empty()


@pytest.fixture
def file(scratch: Path) -> Path:
    """A file with two pools and two reservations."""
    path = scratch / "network.yaml"
    path.write_text(FILE)
    return path


def write(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


def everything(service: IpamdProcess) -> dict[str, Any]:
    """Pools and reservations as REST has them, without numbers."""
    pools = service.http.get("/v1/pools").json()["items"]
    reservations = service.http.get("/v1/reservations").json()["items"]
    return {
        "pools": pools,
        "reservations": sorted(
            ({key: value for key, value in each.items() if key != "id"} for each in reservations),
            key=lambda each: str(each["address"]),
        ),
    }


def revision(service: IpamdProcess, pool: str) -> str:
    return service.http.get(f"/v1/pools/{pool}").headers["ETag"]


def test_a_file_makes_pools_and_reservations(
    ipamd_process: IpamdProcess, ipamctl: Ipamctl, file: Path
) -> None:
    printed = ipamctl("apply", "-f", str(file))

    pools = {pool["name"]: pool for pool in everything(ipamd_process)["pools"]}
    kept = {each["address"]: each for each in everything(ipamd_process)["reservations"]}
    assert "+ pool pods-v4" in printed
    assert printed.splitlines()[-1] == "4 created; 0 unchanged"
    assert pools["pods-v4"]["gateway"] == "10.64.0.1"
    assert pools["pods-v4"]["selectors"]["node_labels"] == {"rack": "17", "gpu": "no"}
    assert pools["pods-v6"]["gateway"] is None
    assert kept["10.64.0.77"]["note"] == "in the DNS of the shop,\nsince: 2026-01-31\n"
    assert kept["1:2:3:4:5:6:7:8"]["name"] is None


def test_applied_twice_it_changes_nothing(ipamd_process: IpamdProcess, ipamctl: Ipamctl, file: Path) -> None:
    ipamctl("apply", "-f", str(file))
    before = revision(ipamd_process, "pods-v4")

    printed = ipamctl("apply", "-f", str(file))
    ipamd_process.create_pool("next", "10.9.0.0/24")

    assert printed == "nothing to do; 4 unchanged\n"
    assert revision(ipamd_process, "pods-v4") == before
    assert int(revision(ipamd_process, "next").strip('"')) == int(before.strip('"')) + 1


def test_export_wipe_apply_gives_the_same(
    ipamd_process: IpamdProcess, ipamctl: Ipamctl, scratch: Path, file: Path
) -> None:
    ipamctl("apply", "-f", str(file))
    ipamctl(
        "pool",
        "create",
        "odd",
        "--subnet",
        "10.9.0.0/28",
        "--no-gateway",
        "--space",
        "other",
        "--priority",
        "-3",
    )
    ipamctl(
        "reservation", "create", "10.9.0.4", "--space", "other", "--note", "yes: \u202e no", "--owner", "0o17"
    )
    before = everything(ipamd_process)

    exported = ipamctl("export")
    ipamctl("apply", "--prune", "-f", write(scratch / "none.yaml", "pools: []\nreservations: []\n"))
    empty = everything(ipamd_process)
    ipamctl("apply", "-f", write(scratch / "exported.yaml", exported))
    again = ipamctl("apply", "-f", write(scratch / "exported.json", ipamctl("export", "-o", "json")))

    assert empty == {"pools": [], "reservations": []}
    assert everything(ipamd_process) == before
    assert again == "nothing to do; 6 unchanged\n"
    assert exported.isascii()


def test_dry_run_shows_the_difference_and_does_nothing(
    ipamd_process: IpamdProcess, ipamctl: Ipamctl, scratch: Path, file: Path
) -> None:
    ipamctl("apply", "-f", str(file))
    before = everything(ipamd_process)
    changed = FILE.replace("cooldown: 10", "cooldown: 30").replace("name: front-0", "name: front-1")

    arguments = ("apply", "--dry-run", "-f", write(scratch / "changed.yaml", changed))
    printed, document = ipamctl(*arguments), ipamctl.json(*arguments)

    assert "~ pool pods-v6\n    cooldown: 10 -> 30\n" in printed
    assert "    name: front-0 -> front-1\n" in printed
    assert printed.splitlines()[-1] == "2 would be changed; 2 unchanged"
    assert [change["action"] for change in document["changes"]] == ["change", "change"]
    assert everything(ipamd_process) == before


def test_what_a_file_no_longer_says_has_its_default_again(
    ipamd_process: IpamdProcess, ipamctl: Ipamctl, scratch: Path, file: Path
) -> None:
    ipamctl("apply", "-f", str(file))

    ipamctl(
        "apply", "-f", write(file, FILE.replace("    cooldown: 10\n", "").replace("    gateway: null\n", ""))
    )

    pool = ipamctl.json("pool", "show", "pods-v6")
    assert pool["cooldown"] == 60
    assert pool["gateway"] is None  # its default follows from the subnet: what there is stays


def test_nothing_goes_unless_pruning_is_asked_for(ipamctl: Ipamctl, scratch: Path, file: Path) -> None:
    ipamctl("apply", "-f", str(file))
    fewer = write(
        scratch / "fewer.yaml",
        "pools:\n  - {name: pods-v6, subnet: 'fd00:64::/64', cooldown: 10, affinity: node}\n",
    )

    kept = ipamctl("apply", "-f", fewer)
    pruned = ipamctl("apply", "--prune", "-f", fewer)

    assert kept == "nothing to do; 1 unchanged\n"
    orphan = "10.64.0.77: it is kept for web/front-0 as soon as one has"
    warning = f"warning: no pool of space default has {orphan}"
    assert pruned == f"- pool pods-v4\n{warning}\n1 deleted; 1 unchanged\n"
    assert len(ipamctl.rows("reservation", "list")) == 2  # the file says nothing of reservations


def test_pruning_makes_room_for_what_the_file_has_instead(
    ipamd_process: IpamdProcess, ipamctl: Ipamctl, scratch: Path
) -> None:
    ipamctl(
        "apply",
        "-f",
        write(
            scratch / "a.yaml",
            "pools: [{name: whole, subnet: 10.64.0.0/16}]\nreservations: [{address: 10.64.1.0/24}]",
        ),
    )

    halves = """
pools: [{name: low, subnet: 10.64.0.0/17}, {name: high, subnet: 10.64.128.0/17}]
reservations: [{address: 10.64.1.4}]
"""
    ipamctl("apply", "--prune", "-f", write(scratch / "b.yaml", halves))

    assert [pool["name"] for pool in everything(ipamd_process)["pools"]] == ["high", "low"]
    assert [each["address"] for each in everything(ipamd_process)["reservations"]] == ["10.64.1.4"]


def test_everything_that_is_refused_is_named_and_nothing_is_applied(
    ipamd_process: IpamdProcess, ipamctl: Ipamctl, scratch: Path
) -> None:
    for name, subnet in (("a", "10.1.0.0/24"), ("b", "10.2.0.0/24"), ("c", "10.3.0.0/24")):
        ipamctl("pool", "create", name, "--subnet", subnet)
    ipamctl("allocation", "create", "vm-1", "--address", "10.1.0.9")
    ipamctl("allocation", "create", "vm-2", "--address", "10.2.0.9")
    before = everything(ipamd_process)
    text = """
pools:
  - {name: a, subnet: 10.1.0.0/24, exclusions: [10.1.0.9]}
  - {name: c, subnet: 10.3.0.0/24, cooldown: 5}
  - {name: d, subnet: 10.3.0.128/25}
reservations:
  - {address: 10.2.0.9, owner: vm-7}
"""

    done = ipamctl.run("apply", "--prune", "-f", write(scratch / "bad.yaml", text))
    rehearsed = ipamctl.run("apply", "--prune", "--dry-run", "-f", str(scratch / "bad.yaml"))

    assert (done.returncode, done.stdout) == (1, "")
    assert rehearsed.stderr == done.stderr
    for entry, why in (
        ("pool a", "10.1.0.9 is held by vm-1"),
        ("pool b", "pool b has 1 allocated addresses"),
        ("pool d", "overlaps pool c"),
        ("reservation 10.2.0.9", "10.2.0.9 is held by vm-2, not by vm-7"),
    ):
        assert any(entry in line and why in line for line in done.stderr.splitlines()), (entry, done.stderr)
    assert everything(ipamd_process) == before


def test_what_ipamd_does_not_know_is_named_with_its_line(ipamctl: Ipamctl, scratch: Path) -> None:
    text = (
        "pools:\n  - name: a\n    subnet: 10.1.0.0/24\n    cooldwn: 5\n    routes:\n      - dst: everywhere\n"
    )

    done = ipamctl.run("apply", "-f", write(scratch / "bad.yaml", text))

    assert done.returncode == 1
    assert "bad.yaml:4: pools[0].cooldwn: unknown field `cooldwn`; did you mean `cooldown`?" in done.stderr
    assert "bad.yaml:6: pools[0].routes[0].dst:" in done.stderr
    assert ipamctl.rows("pool", "list") == []


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("pool:\n  - name: a\n", ":1: unknown key `pool`; did you mean `pools`?"),
        ("[pools]: []\n", ":1: a field's name must be text"),
        ("pools:\n", ":1: pools must be a list"),
        ("\n- name: a\n", ":2: expected an object with the lists pools, reservations and quotas"),
        ("pools:\n  - name: a\n    name: b\n", ":3: name comes twice"),
        ("pools: [\n", ": not YAML"),
        ("pools:\n  - &a [*a]\n", "this value has no end"),
        ("pools:\n  - !!python/object:os.system x\n", ":2: tags are not allowed"),
        ("", "hold none of the lists"),
        ("pools: " + "[" * 100_000, "nested too deeply"),
    ],
)
def test_a_file_that_cannot_be_meant_is_one_sentence_with_its_line(
    lone_ipamctl: Ipamctl, scratch: Path, text: str, complaint: str
) -> None:
    path = write(scratch / "bad.yaml", text)

    assert complaint in lone_ipamctl.refused("apply", "-f", path, exit_code=2)


def test_several_files_documents_and_stdin_are_one(
    ipamd_process: IpamdProcess, ipamctl: Ipamctl, scratch: Path
) -> None:
    first = write(
        scratch / "a.yaml",
        "pools: [{name: a, subnet: 10.1.0.0/24}]\n---\npools: [{name: b, subnet: 10.2.0.0/24}]\n",
    )
    with ipamctl.started("apply", "-f", first, "-f", "-", given=subprocess.PIPE) as process:
        printed, complaint = process.communicate("pools: [{name: c, subnet: 10.3.0.0/24}]", timeout=120)

    assert (process.returncode, complaint) == (0, "")
    assert printed.splitlines()[-1] == "3 created; 0 unchanged"
    assert "bad" not in json.dumps(everything(ipamd_process))


def test_an_entry_that_comes_twice_is_refused_with_its_line(ipamctl: Ipamctl, scratch: Path) -> None:
    text = "pools:\n  - {name: a, subnet: 10.1.0.0/24}\n---\npools:\n  - {name: a, subnet: 10.2.0.0/24}\n"

    done = ipamctl.run("apply", "-f", write(scratch / "twice.yaml", text))

    assert done.returncode == 1
    assert "twice.yaml:5: pools[1].name: pool a comes twice" in done.stderr
