"""From host-local to ipamd on a node whose containers run on, and back after a restored backup."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.ctl.conftest import Ipamctl
from tests.network.conftest import Ipam
from tests.network.containerd import Containerd
from tests.network.leftovers import CNI_CACHE
from tests.network.plugin import Document
from tests.network.podman import Podman
from tests.service import IpamdProcess

BRIDGE: dict[str, Any] = {"type": "bridge", "bridge": "cni0", "isGateway": True}


@pytest.fixture
def service(ipamd_process: IpamdProcess) -> IpamdProcess:
    """The service with pools of the subnets that host-local gives addresses of."""
    ipamd_process.create_pool("pods-v4", "10.62.0.0/24", routes=[{"dst": "0.0.0.0/0"}])
    ipamd_process.create_pool("pods-v6", "fd00:62::/64", routes=[{"dst": "::/0"}])
    return ipamd_process


@pytest.fixture
def host_local(scratch: Path) -> Document:
    """bridge with the reference plugins' own IPAM."""
    ranges = [[{"subnet": "10.62.0.0/24"}], [{"subnet": "fd00:62::/64"}]]
    return {
        **BRIDGE,
        "ipam": {"type": "host-local", "dataDir": str(scratch / "host-local"), "ranges": ranges},
    }


@pytest.fixture
def ours(service: IpamdProcess, ipam: Ipam) -> Document:
    """The same bridge with ipamd's plugin."""
    return {**BRIDGE, "ipam": ipam("pods-v4", "pods-v6")}


class Import:
    """`ipamctl import` of what the runtimes of this machine keep, for one network of node `node-a`."""

    def __init__(self, service: IpamdProcess) -> None:
        self._ipamctl = Ipamctl(service.folder, {"IPAMD_ENDPOINT": service.endpoint})

    def __call__(self, network: str, *more: str) -> list[str]:
        """The outcome of each attachment."""
        arguments = ("import", str(CNI_CACHE), "--node", "node-a", "--network", network, *more)
        return [item["outcome"] for item in self._ipamctl.json(*arguments)["items"]]


@pytest.fixture
def import_(service: IpamdProcess) -> Import:
    return Import(service)


def test_pods_of_host_local_are_taken_over_while_they_run(
    service: IpamdProcess, containerd: Containerd, host_local: Document, ours: Document, import_: Import
) -> None:
    containerd.configure_network("1.0.0", host_local)
    containerd.start()
    web, other = containerd.run_pod("web"), containerd.run_pod("other")

    rehearsed = import_(containerd.network, "--dry-run")
    taken = import_(containerd.network)
    again = import_(containerd.network)

    assert (rehearsed, taken, again) == (["taken"] * 2, ["taken"] * 2, ["held"] * 2)
    assert service.addresses() == {*web.addresses, *other.addresses}
    assert service.addresses(namespace="default", name="web") == set(web.addresses)


def test_after_the_change_new_pods_get_other_addresses_and_old_ones_give_theirs_back(
    service: IpamdProcess, containerd: Containerd, host_local: Document, ours: Document, import_: Import
) -> None:
    containerd.configure_network("1.0.0", host_local)
    containerd.start()
    old = [containerd.run_pod(f"old-{number}") for number in range(3)]
    import_(containerd.network)

    containerd.stop()
    containerd.configure_network("1.0.0", ours)
    containerd.start()
    new = [containerd.run_pod(f"new-{number}") for number in range(3)]
    containerd.cri.stop_pod(old[0].id)
    containerd.cri.remove_pod(old[0].id)

    living = [address for pod in (*old[1:], *new) for address in pod.addresses]
    assert len({*living, *old[0].addresses}) == 12
    assert service.addresses() == set(living)


def test_after_a_restored_backup_what_was_given_since_is_known_again(
    service: IpamdProcess, containerd: Containerd, ours: Document, import_: Import, scratch: Path
) -> None:
    containerd.configure_network("1.0.0", ours)
    containerd.start()
    before = containerd.run_pod("before")
    service.stop()
    shutil.copy(service.database, scratch / "backup")
    service.start()
    since = containerd.run_pod("since")

    service.kill()
    for file in scratch.glob("ipamd.sqlite*"):
        file.unlink()
    shutil.copy(scratch / "backup", service.database)
    service.start()
    forgotten = service.addresses()
    outcomes = import_(containerd.network)
    after = containerd.run_pod("after")

    assert forgotten == set(before.addresses)
    assert sorted(outcomes) == ["held", "taken"]
    assert service.addresses() == {*before.addresses, *since.addresses, *after.addresses}
    assert len(service.addresses()) == 6


def test_containers_of_podman_are_taken_over_too(
    service: IpamdProcess, podman: Podman, host_local: Document, ours: Document, import_: Import
) -> None:
    podman.configure_network("1.0.0", host_local)
    podman.load_image()
    podman.run("web")
    outcomes = import_(podman.network)
    taken = service.allocations()

    podman.configure_network("1.0.0", ours)
    podman.run("new")

    assert outcomes == ["taken"]
    assert {each["container_id"] for each in taken} == {podman.container_id("web")}
    assert len(service.addresses()) == 4


def test_what_podman_deletes_by_its_old_configuration_is_given_back_by_the_next_import(
    service: IpamdProcess, podman: Podman, host_local: Document, ours: Document, import_: Import
) -> None:
    podman.configure_network("1.0.0", host_local)
    podman.load_image()
    podman.run("old")
    podman.run("kept")
    import_(podman.network)
    podman.configure_network("1.0.0", ours)
    podman.run("new")
    before = service.addresses()

    podman("rm", "--force", "--time", "0", "old")
    still_held = service.addresses()
    outcomes = import_(podman.network, "--release-gone")

    assert still_held == before  # podman told host-local alone
    assert sorted(outcomes) == ["held", "held", "released"]
    assert len(service.addresses()) == 4
