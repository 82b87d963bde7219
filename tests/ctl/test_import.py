"""`ipamctl import`: what runs on a node, taken over from what its runtime keeps."""

import itertools
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.api.plugin_call import call, issued
from tests.ctl.cached_results import RESULTS, cache, one
from tests.ctl.conftest import Ipamctl
from tests.service import IpamdProcess

NODES = itertools.count(1)


@pytest.fixture
def service(lasting_ipamd: IpamdProcess) -> Iterator[IpamdProcess]:
    """The service with a dual-stack pair of pools, and nothing else when the test is over."""
    lasting_ipamd.create_pool("pods-v4", "10.1.0.0/24", cooldown=3600)
    lasting_ipamd.create_pool("pods-v6", "fd00:1::/64", cooldown=3600)
    yield lasting_ipamd
    lasting_ipamd.empty()


@pytest.fixture
def results(scratch: Path) -> Path:
    folder = scratch / "results"
    folder.mkdir()
    return folder


@pytest.fixture
def ipamctl(lasting_ipamd: IpamdProcess) -> Ipamctl:
    return Ipamctl(lasting_ipamd.folder, {"IPAMD_ENDPOINT": lasting_ipamd.tcp_endpoint})


class Import:
    """`ipamctl import` of one folder for a node that no other test knows."""

    def __init__(self, service: IpamdProcess, ipamctl: Ipamctl, folder: Path) -> None:
        self.node = f"n{next(NODES)}"
        self._service = service
        self._ipamctl = ipamctl
        self._arguments = ("import", str(folder), "--node", self.node)

    def __call__(self, *more: str, exit_code: int = 0) -> dict[str, dict[str, Any]]:
        """Run it; what became of each file."""
        done = self._ipamctl.run(*self._arguments, *more, "-o", "json")
        assert done.returncode == exit_code, (done.stdout, done.stderr)
        return {item["file"]: item for item in json.loads(done.stdout)["items"]}

    def printed(self, *more: str) -> str:
        return self._ipamctl.run(*self._arguments, *more).stdout

    def add(self, container_id: str, **more: Any) -> httpx.Response:
        """The plugin's ADD on the node, unless another is named."""
        body = {"node": self.node, **more}
        return self._service.http.post("/v1/cni/add", json=call(container_id=container_id, **body))

    def delete(self, container_id: str, **more: Any) -> httpx.Response:
        body = call(container_id=container_id, node=self.node, **more)
        return self._service.http.post("/v1/cni/del", json=body)


@pytest.fixture
def import_(service: IpamdProcess, ipamctl: Ipamctl, results: Path) -> Import:
    return Import(service, ipamctl, results)


def outcomes(items: dict[str, dict[str, Any]]) -> list[str]:
    return [item["outcome"] for item in items.values()]


def test_results_of_every_version_are_taken_and_a_second_time_changes_nothing(
    service: IpamdProcess, results: Path, import_: Import
) -> None:
    for number, (version, result) in enumerate(RESULTS.items()):
        cache(results, f"c{number}", result, version=version, pod=f"front-{number}")

    first, before = import_(), service.allocations()
    second = import_()

    assert outcomes(first) == ["taken"] * 3
    assert outcomes(second) == ["held"] * 3
    assert service.allocations() == before
    assert service.addresses() == {f"{net}{n}" for net in ("10.1.0.", "fd00:1::") for n in (11, 12, 13)}
    assert {(each["node"], each["namespace"]) for each in before} == {(import_.node, "web")}
    assert service.http.get("/v1/pools/pods-v4/usage").json()["allocated"] == 3


def test_dry_run_says_the_same_and_takes_nothing(
    service: IpamdProcess, results: Path, import_: Import
) -> None:
    cache(results, "c0", one("10.1.0.20/24"))
    cache(results, "c1", one("10.1.0.1/24"))

    rehearsed = import_("--dry-run", exit_code=1)
    held_after_rehearsal = service.addresses()
    taken = import_(exit_code=1)

    assert held_after_rehearsal == set()
    assert rehearsed == taken
    assert outcomes(taken) == ["taken", "refused"]
    assert "gateway" in taken["pods-c1-eth0"]["why"]


def test_the_imported_container_gets_its_addresses_again_and_gives_them_back(
    service: IpamdProcess, results: Path, import_: Import
) -> None:
    cache(results, "c0", one("10.1.0.20/24"))
    import_()

    again = import_.add("c0", issued=issued(5), ipam={"pools": ["pods-v4"]}).json()
    deleted = import_.delete("c0", issued=issued(9))

    assert [entry["address"] for entry in again["ips"]] == ["10.1.0.20/24"]
    assert deleted.status_code == 204
    assert service.addresses() == set()


def test_a_container_that_was_deleted_meanwhile_is_not_taken(
    service: IpamdProcess, results: Path, import_: Import
) -> None:
    cache(results, "c0", one("10.1.0.20/24"))
    import_.delete("c0", issued=issued(9))

    [item] = import_(exit_code=1).values()

    assert item["outcome"] == "refused"
    assert "later DEL" in item["why"]
    assert service.addresses() == set()


def test_a_conflict_is_told_with_both_sides(service: IpamdProcess, results: Path, import_: Import) -> None:
    args = "K8S_POD_NAMESPACE=shop;K8S_POD_NAME=cart-0;IP=10.1.0.20"
    assert import_.add("other", node="n2", args=args).is_success
    cache(results, "c0", one("10.1.0.20/24"), pod="front-0")
    cache(results, "c1", one("10.1.0.21/24"))

    items = import_(exit_code=1)
    printed = import_.printed()

    [holder] = [each for each in service.allocations() if each["address"] == "10.1.0.20"]
    assert outcomes(items) == ["conflict", "taken"]
    assert items["pods-c0-eth0"]["holder"]["allocation"] == holder["id"]
    assert "shop/cart-0 (container other on node n2)" in items["pods-c0-eth0"]["why"]
    assert "web/front-0" in printed
    assert "container other on node n2" in printed


def test_a_container_to_which_ipamd_gave_another_address_is_a_conflict(
    service: IpamdProcess, results: Path, import_: Import
) -> None:
    given = import_.add("c0", ipam={"pools": ["pods-v4"]}).json()["ips"][0]["address"].split("/")[0]
    cache(results, "c0", one("10.1.0.99/24"))

    [item] = import_(exit_code=1).values()

    assert item["outcome"] == "conflict"
    assert "10.1.0.99" in item["why"]
    assert given in item["why"]


def test_addresses_outside_every_pool_are_listed_and_the_others_taken(
    service: IpamdProcess, results: Path, import_: Import
) -> None:
    cache(results, "c0", {"ips": [{"address": "10.1.0.20/24"}, {"address": "2001:db8::5/64"}]})
    cache(results, "c1", one("192.168.7.7/24"))

    items = import_(exit_code=1)

    assert outcomes(items) == ["taken", "outside"]
    assert [item["outside"] for item in items.values()] == [["2001:db8::5"], ["192.168.7.7"]]
    assert service.addresses() == {"10.1.0.20"}
    assert "192.168.7.7" in import_.printed()


def test_pools_that_give_nothing_unasked_have_what_is_in_use(
    service: IpamdProcess, results: Path, import_: Import, ipamctl: Ipamctl
) -> None:
    service.create_pool("named", "10.2.0.0/24", auto_assign=False)
    service.create_pool("elsewhere", "10.3.0.0/24", selectors={"nodes": ["n9"]})
    service.create_pool("leaving", "10.4.0.0/24", state="draining", affinity="node")
    for number in (2, 3, 4):
        cache(results, f"c{number}", one(f"10.{number}.0.9/16"))

    assert outcomes(import_()) == ["taken"] * 3


def test_what_an_admin_kept_back_is_refused(service: IpamdProcess, results: Path, import_: Import) -> None:
    service.http.patch("/v1/pools/pods-v4", json={"exclusions": ["10.1.0.40"]})
    for body in (
        {"address": "10.1.0.50", "owner": "vm"},
        {"address": "10.1.0.60", "namespace": "web", "name": "a"},
    ):
        assert service.http.post("/v1/reservations", json=body).is_success
    for number in (40, 50, 60):
        cache(results, f"c{number}", one(f"10.1.0.{number}/24"), pod="a")

    items = import_(exit_code=1)

    assert outcomes(items) == ["refused", "refused", "taken"]
    assert "excluded" in items["pods-c40-eth0"]["why"]
    assert "reserved for vm" in items["pods-c50-eth0"]["why"]


def test_an_address_that_just_became_free_elsewhere_may_be_taken(
    service: IpamdProcess, results: Path, import_: Import
) -> None:
    assert import_.add("old", args="IP=10.1.0.20", ipam={"pools": ["pods-v4"]}).is_success
    assert import_.delete("old").is_success
    cache(results, "c0", one("10.1.0.20/24"))

    assert outcomes(import_()) == ["taken"]


def test_files_that_say_nothing_are_named_and_the_rest_is_taken(
    service: IpamdProcess, results: Path, import_: Import
) -> None:
    whole = cache(results, "whole", one("10.1.0.20/24")).read_text()
    bad = {
        "empty": "",
        "half": whole[:200],
        "legacy": json.dumps({"cniVersion": "0.2.0", "ip4": {"ip": "10.1.0.30/24"}}),
        "nested": "[" * 100_000,
        "nobody": whole.replace('"whole"', '""'),
        "nowhere": whole.replace("10.1.0.20/24", "10.1.0.400/24"),
        "strange": whole.replace('"whole"', '"../x"'),
        "unprintable": whole.replace('"eth0"', '"eth\\u00000"'),
        "half a character": whole.replace('"eth0"', '"eth\\ud800"'),
        "typed": whole.replace('"result"', '"result": 5, "before"'),
    }
    for name, text in bad.items():
        (results / name).write_text(text)
    (results / "folder").mkdir()
    os.mkfifo(results / "pipe")

    items = import_(exit_code=1)

    assert {name for name, item in items.items() if item["outcome"] == "unreadable"} == {
        *bad,
        "folder",
        "pipe",
    }
    assert items["pods-whole-eth0"]["outcome"] == "taken"


def test_several_interfaces_and_networks_of_one_container_are_each_their_own(
    service: IpamdProcess, results: Path, import_: Import
) -> None:
    cache(results, "c0", one("10.1.0.20/24"))
    cache(results, "c0", one("10.1.0.21/24"), ifname="net1")
    cache(results, "c0", one("10.1.0.22/24"), network="storage", ifname="net2")
    cache(
        results,
        "c0",
        {"ips": [{"address": "127.0.0.1/8"}, {"address": "::1/128"}]},
        network="cni-loopback",
        ifname="lo",
    )
    cache(results, "c0", {}, network="layer2", ifname="net3")

    one_network = import_("--network", "storage")
    all_networks = import_()

    assert outcomes(one_network) == ["taken"]
    assert outcomes(all_networks) == ["taken", "taken", "held"]
    assert {(each["network"], each["ifname"], each["address"]) for each in service.allocations()} == {
        ("pods", "eth0", "10.1.0.20"),
        ("pods", "net1", "10.1.0.21"),
        ("storage", "net2", "10.1.0.22"),
    }


def test_an_address_in_two_files_is_taken_for_neither(
    service: IpamdProcess, results: Path, import_: Import
) -> None:
    cache(results, "dead", one("10.1.0.20/24"))
    cache(results, "live", one("10.1.0.20/24"))
    cache(results, "other", one("10.1.0.21/24"))

    items = import_(exit_code=1)

    assert outcomes(items) == ["conflict", "conflict", "taken"]
    assert "pods-live-eth0" in items["pods-dead-eth0"]["why"]
    assert service.addresses() == {"10.1.0.21"}


def test_another_nodes_folder_is_noticed(service: IpamdProcess, results: Path, import_: Import) -> None:
    cache(results, "c0", one("10.1.0.20/24"), ipam={"type": "ipamd-ipam", "node": "n7"})

    [item] = import_(exit_code=1).values()

    assert item["outcome"] == "refused"
    assert "node n7" in item["why"]
    assert service.addresses() == set()


def test_a_large_node_is_taken_over_whole(service: IpamdProcess, results: Path, import_: Import) -> None:
    service.create_pool("large", "10.7.0.0/16")
    for number in range(450):
        cache(results, f"c{number}", one(f"10.7.{number // 200}.{number % 200 + 10}/16"))

    assert set(outcomes(import_())) == {"taken"}
    assert len(service.allocations(pool="large")) == 450


def test_an_empty_folder_is_well_and_one_that_is_not_there_is_not(
    results: Path, import_: Import, ipamctl: Ipamctl
) -> None:
    assert import_() == {}
    assert "cannot read" in ipamctl.refused("import", str(results / "x"), "--node", "n1", exit_code=2)


def test_what_was_taken_over_and_is_gone_is_given_back_only_when_asked(
    service: IpamdProcess, results: Path, import_: Import
) -> None:
    for number in (20, 21, 22):
        cache(results, f"c{number}", one(f"10.1.0.{number}/24"))
    import_()
    assert import_.add("c21", ipam={"pools": ["pods-v4"]}).is_success  # it began anew, through ipamd
    assert import_.add("young", ipam={"pools": ["pods-v4"]}).is_success  # its result is not written yet
    for number in (20, 21):
        (results / f"pods-c{number}-eth0").unlink()

    import_()
    kept = service.addresses()
    rehearsed = import_("--release-gone", "--dry-run")
    kept_after_rehearsal = service.addresses()
    released = import_("--release-gone")

    assert kept == kept_after_rehearsal
    assert rehearsed == released
    assert [item["addresses"] for item in released.values() if item["outcome"] == "released"] == [
        ["10.1.0.20"]
    ]
    assert kept - service.addresses() == {"10.1.0.20"}
