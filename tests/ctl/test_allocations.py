"""`ipamctl allocation`, `reservation`, `history` and `node`."""

from datetime import datetime, timedelta, timezone

from ipamd.ctl.client import PAGE
from tests.api.plugin_call import call
from tests.ctl.conftest import Ipamctl
from tests.service import IpamdProcess
from tests.waiting import eventually


def test_an_owner_gets_an_address_and_gives_it_back(ipamctl: Ipamctl) -> None:
    ipamctl("pool", "create", "p", "--subnet", "10.1.0.0/24")

    made = ipamctl.json("allocation", "create", "printer", "--address", "10.1.0.20")
    listed = ipamctl.rows("allocation", "list", "--owner", "printer")
    shown = ipamctl.json("allocation", "show", "10.1.0.20")
    said = ipamctl("allocation", "release", "10.1.0.20")

    assert made["address"] == "10.1.0.20"
    assert [row[:5] for row in listed] == [[str(made["id"]), "10.1.0.20", "default", "p", "printer"]]
    assert shown == made
    assert said == f"allocation {made['id']} released\n"
    assert ipamctl.refused("allocation", "release", "10.1.0.20") == "nobody holds 10.1.0.20"


def test_the_same_key_gives_the_same_address(ipamctl: Ipamctl) -> None:
    ipamctl("pool", "create", "p", "--subnet", "10.2.0.0/24")
    asked = ("allocation", "create", "vm", "--pool", "p", "--idempotency-key", "once")

    first, again = ipamctl.json(*asked), ipamctl.json(*asked)
    other = ipamctl.json("allocation", "create", "vm", "--pool", "p")

    assert first["address"] == again["address"] != other["address"]
    assert len(ipamctl.rows("allocation", "list")) == 2


def test_an_address_that_is_held_is_refused_with_its_holder(ipamctl: Ipamctl) -> None:
    ipamctl("pool", "create", "p", "--subnet", "10.3.0.0/24")
    ipamctl("allocation", "create", "printer", "--address", "10.3.0.5")

    sentence = ipamctl.refused("allocation", "create", "scanner", "--address", "10.3.0.5")

    assert "printer" in sentence


def test_a_container_that_has_a_name_and_no_namespace_is_called_by_its_name(
    ipamctl: Ipamctl, ipamd_process: IpamdProcess
) -> None:
    ipamd_process.create_pool("p", "10.3.1.0/24")
    ipamd_process.http.post("/v1/cni/add", json=call(args="IgnoreUnknown=1;K8S_POD_NAME=web"))

    [row] = ipamctl.rows("allocation", "list")
    sentence = ipamctl.refused("allocation", "create", "printer", "--address", row[1])

    assert row[4] == "web"
    assert f"{row[1]} is held by web (container c1 on node n1)" in sentence


def test_a_list_is_followed_over_its_pages(ipamctl: Ipamctl, ipamd_process: IpamdProcess) -> None:
    more_than_a_page = PAGE + 1
    ipamd_process.create_pool("p", "10.4.0.0/22")
    given = set()
    for number in range(more_than_a_page):
        answer = ipamd_process.http.post("/v1/allocations", json={"owner": f"vm-{number}", "pool": "p"})
        given.add(answer.json()["address"])

    everything = ipamctl.json("allocation", "list")
    some = ipamctl.run("allocation", "list", "--limit", "3")

    assert len(everything["items"]) == more_than_a_page
    assert {item["address"] for item in everything["items"]} == given
    assert everything["next"] is None
    assert [line.split()[0] for line in some.stdout.splitlines()] == ["ID", "1", "2", "3"]
    assert some.stderr == "there are more rows: raise --limit, or leave it out\n"
    assert ipamctl.json("allocation", "list", "--limit", str(PAGE))["next"] is not None


def test_a_reserved_address_goes_to_its_holder_only(ipamctl: Ipamctl) -> None:
    ipamctl("pool", "create", "p", "--subnet", "10.4.0.0/24")

    said = ipamctl("reservation", "create", "10.4.0.9", "--owner", "printer", "--note", "third floor")
    [row] = ipamctl.json("reservation", "list")["items"]
    sentence = ipamctl.refused("allocation", "create", "scanner", "--address", "10.4.0.9")
    got = ipamctl.json("allocation", "create", "printer", "--address", "10.4.0.9")
    ipamctl("reservation", "delete", str(row["id"]))

    assert said == f"10.4.0.9 is kept for printer (reservation {row['id']})\n"
    assert (row["owner"], row["note"]) == ("printer", "third floor")
    assert "10.4.0.9" in sentence
    assert got["address"] == "10.4.0.9"
    assert ipamctl.json("reservation", "list")["items"] == []


def test_history_says_who_had_an_address_at_a_moment(ipamctl: Ipamctl) -> None:
    ipamctl("pool", "create", "p", "--subnet", "10.5.0.0/24", "--cooldown", "0")
    first = ipamctl.json("allocation", "create", "printer", "--address", "10.5.0.5")
    ipamctl("allocation", "release", "10.5.0.5")
    second = ipamctl.json("allocation", "create", "scanner", "--address", "10.5.0.5")
    earlier = datetime.fromisoformat(first["since"]) - timedelta(seconds=1)

    everybody = ipamctl.json("history", "10.5.0.5")["items"]

    assert [item["owner"] for item in everybody] == ["scanner", "printer"]
    assert [item["until"] is None for item in everybody] == [True, False]
    for allocation, owner in ((first, "printer"), (second, "scanner")):
        [item] = ipamctl.json("history", "10.5.0.5", "--at", allocation["since"])["items"]
        assert item["owner"] == owner
    assert ipamctl.json("history", "10.5.0.5", "--at", earlier.isoformat())["items"] == []
    assert [row[2] for row in ipamctl.rows("history", "10.5.0.5", "--at", second["since"])] == ["scanner"]


def test_tables_show_times_in_the_readers_zone_to_the_second_and_wide_ones_with_all_digits(
    ipamctl: Ipamctl,
) -> None:
    ipamctl.environment["TZ"] = "Asia/Kolkata"
    ipamctl("pool", "create", "p", "--subnet", "10.6.0.0/24")
    since = datetime.fromisoformat(ipamctl.json("allocation", "create", "printer")["since"])
    local = since.astimezone(timezone(timedelta(hours=5, minutes=30)))

    listed, wide = ipamctl("allocation", "list"), ipamctl("allocation", "list", "-o", "wide")
    shown = ipamctl("allocation", "show", "10.6.0.2")

    assert listed.split()[-1] == local.isoformat(timespec="seconds")
    assert local.isoformat() in wide
    assert local.isoformat(timespec="seconds") in shown
    assert datetime.fromisoformat(ipamctl.json("allocation", "show", "10.6.0.2")["since"]) == since
    [row] = ipamctl.rows("history", "10.6.0.2", "--at", local.isoformat())
    assert row[2] == "printer"


def test_a_node_gets_labels_one_by_one(ipamctl: Ipamctl) -> None:
    ipamctl("node", "label", "n1", "rack=r1", "zone=a")
    said = ipamctl("node", "label", "n1", "rack=r2", "zone-")
    ipamctl("node", "label", "n1", "disk=ssd", "--cluster", "east")

    assert said == "node n1 of cluster default has rack=r2\n"
    assert ipamctl.json("node", "show", "n1")["labels"] == {"rack": "r2"}
    assert sorted([*row[:2], row[5]] for row in ipamctl.rows("node", "list")) == [
        ["default", "n1", "rack=r2"],
        ["east", "n1", "disk=ssd"],
    ]
    assert "n2" in ipamctl.refused("node", "show", "n2")


def add_pod(service: IpamdProcess, name: str, uid: str, network: str, ifname: str = "eth0") -> None:
    args = f"IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME={name};K8S_POD_UID={uid}"
    body = call(f"{name}-{uid}", args=args, ifname=ifname, config={"name": network})
    assert service.http.post("/v1/cni/add", json=body).status_code == 200


def test_all_that_a_pod_holds_is_released_at_once(ipamctl: Ipamctl, ipamd_process: IpamdProcess) -> None:
    ipamd_process.create_pool("p", "10.3.2.0/24")
    ipamd_process.create_pool("p6", "fd00:32::/64")
    for network, ifname in (("pods", "eth0"), ("storage", "net1"), ("storage", "net2")):
        add_pod(ipamd_process, "web-1", "u1", network, ifname)
    add_pod(ipamd_process, "web-2", "u2", "pods")
    ipamctl("allocation", "create", "vm", "--namespace", "shop", "--name", "web-1", "--pool", "p")

    said = ipamctl.json("allocation", "release", "--workload", "shop/web-1", "--why", "half of it failed")

    assert len(said["released"]) == 6
    left = {(row["name"], row["owner"]) for row in ipamd_process.allocations()}
    assert left == {("web-2", None), ("web-1", "vm")}
    past = ipamctl.json("history", said["released"][0])["items"][0]
    assert (past["ending"], past["reason"]) == ("admin", "half of it failed")
    assert ipamd_process.contradictions() == []
    assert "shop/web-1" in ipamctl.refused("allocation", "release", "--workload", "shop/web-1")


def test_of_two_pods_of_one_name_the_uid_says_which(ipamctl: Ipamctl, ipamd_process: IpamdProcess) -> None:
    ipamd_process.create_pool("p", "10.3.3.0/24")
    for uid in ("dead", "alive"):
        add_pod(ipamd_process, "db-0", uid, "pods")

    sentence = ipamctl.refused("allocation", "release", "--workload", "shop/db-0")
    ipamctl("allocation", "release", "--workload", "shop/db-0", "--uid", "dead")

    assert "alive" in sentence
    assert "dead" in sentence
    assert [row["uid"] for row in ipamd_process.allocations()] == ["alive"]


def test_an_allocation_waits_for_room_and_the_line_is_shown(
    ipamctl: Ipamctl, ipamd_process: IpamdProcess
) -> None:
    ipamctl("pool", "create", "p", "--subnet", "10.4.0.0/30", "--cooldown", "0")
    ipamctl("allocation", "create", "holder", "--pool", "p")
    assert "it waited 1 s" in ipamctl.refused("allocation", "create", "vm", "--pool", "p", "--wait", "1")

    with ipamctl.started("allocation", "create", "vm", "--pool", "p", "--wait", "60") as waiting:
        eventually(lambda: bool(ipamd_process.http.get("/v1/waiters").json()["items"]))
        [row] = ipamctl.rows("allocation", "waiting")
        eventually(lambda: ipamctl.rows("pool", "usage", "p")[0][-2] == "1")
        ipamctl("allocation", "release", "10.4.0.2")
        told, _ = waiting.communicate()

    assert row[1:4] == ["vm", "pool", "p"]
    assert told.startswith("vm has 10.4.0.2 of pool p")
    assert ipamctl.rows("allocation", "waiting") == []


def test_a_wait_that_is_too_long_is_refused(ipamctl: Ipamctl) -> None:
    done = ipamctl.run("allocation", "create", "vm", "--wait", "601")

    assert done.returncode == 2
    assert "less than or equal to 600" in done.stderr
