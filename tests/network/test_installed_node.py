"""containerd by CRI, ctr and podman on a node that has the built executable of ours and nothing else.

The configurations are the documentation's own files, put by `ipamd-agent install` where the runtimes look.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ctl.conftest import Ipamctl
from tests.network import shown
from tests.network.conftest import DEBIAN_PLUGINS
from tests.network.containerd import Containerd
from tests.network.image import REFERENCE
from tests.network.installed import BINARIES, NETWORKS, NODE, InstalledNode, installed_node
from tests.network.namespace import Namespace
from tests.network.podman import Podman
from tests.service import IpamdProcess


@pytest.fixture
def service(lasting_ipamd: IpamdProcess) -> IpamdProcess:
    """The service with the pools that the documentation's configurations name."""
    lasting_ipamd.empty()
    lasting_ipamd.create_pool("pods-v4", "10.64.0.0/16", routes=[{"dst": "0.0.0.0/0"}])
    lasting_ipamd.create_pool("pods-v6", "fd00:64::/64", routes=[{"dst": "::/0"}])
    return lasting_ipamd


@pytest.fixture
def installed(node: Namespace) -> Iterator[InstalledNode]:
    with installed_node(node, DEBIAN_PLUGINS) as made:
        yield made


@pytest.fixture
def containerd(scratch: Path, installed: InstalledNode) -> Iterator[Containerd]:
    """containerd with its default folders for plugins and networks."""
    folder = scratch / "containerd"
    folder.mkdir()
    daemon = Containerd(folder, installed, BINARIES, networks=NETWORKS)
    yield daemon
    daemon.remove_everything()


@pytest.fixture
def podman(scratch: Path, installed: InstalledNode) -> Iterator[Podman]:
    """podman with its default folder for networks."""
    folder = scratch / "podman"
    folder.mkdir()
    engine = Podman(folder, installed, BINARIES, networks=NETWORKS)
    yield engine
    engine.remove_everything()


def install(service: IpamdProcess, installed: InstalledNode, conflist: str) -> None:
    """Install as docs/agent.md says, and leave nothing else of ours within the node's reach."""
    installed.install(service.endpoint, "--conflist", str(shown.path(conflist)))
    installed.take_all_else_away()


def held(service: IpamdProcess, **filters: str) -> set[str]:
    """The addresses that are held on this node."""
    return service.addresses(node=NODE, **filters)


def test_containerd_by_cri_runs_pods_with_only_the_built_executable(
    service: IpamdProcess, installed: InstalledNode, containerd: Containerd
) -> None:
    install(service, installed, "containerd.conflist")
    containerd.start()

    web = containerd.run_pod("web", {"ipamd.io/addresses": "10.64.0.77,fd00:64::77"})
    other = containerd.run_pod("other")
    container = containerd.cri.start_container(web)

    installed.assert_only_the_executable()
    assert web.addresses == ("10.64.0.77", "fd00:64::77")
    assert held(service, namespace="default", name="web") == set(web.addresses)
    assert held(service, name="other") == set(other.addresses)
    for address in ("10.64.0.1", *other.addresses):
        containerd.cri.execute(
            container, "ping6" if ":" in address else "ping", "-c", "1", "-W", "5", address
        )
    for pod in (web, other):
        containerd.cri.stop_pod(pod.id)
        containerd.cri.remove_pod(pod.id)
    assert held(service) == set()


def test_ctr_run_with_cni_needs_only_the_built_executable(
    service: IpamdProcess, installed: InstalledNode, containerd: Containerd
) -> None:
    install(service, installed, "containerd.conflist")
    containerd.start()
    containerd.ctr("image", "import", str(containerd.folder / "image.tar"))
    own = ("--cgroup", f"/{containerd.cgroup}/web", "--runc-root", str(containerd.folder / "runc"))
    run = ("run", "--cni", *own)

    seen = containerd.ctr(
        *(*run, "--rm", REFERENCE, "web", "sh", "-c"),
        "ip -o address show dev eth0 scope global && ping -c 1 -W 5 10.64.0.1",
    )

    installed.assert_only_the_executable()
    assert "10.64.0.2/16" in seen
    assert "fd00:64::2/64" in seen
    assert held(service) == set()

    # The documentation warns of it: of a container that runs detached ctr never tells the plugins its end.
    containerd.ctr(*run, "--detach", REFERENCE, "web")
    addresses = held(service, container_id="default-web")
    containerd.ctr("task", "delete", "--force", "web")
    assert len(addresses) == 2
    assert held(service) == addresses


def test_podman_runs_containers_with_only_the_built_executable(
    service: IpamdProcess, installed: InstalledNode, podman: Podman
) -> None:
    install(service, installed, "podman.conflist")
    podman.load_image()

    podman.run("web", "--ip", "10.64.0.60", "--ip6", "fd00:64::60", network="pods")
    podman.run("other", network="pods")

    installed.assert_only_the_executable()
    web, other = (held(service, container_id=podman.container_id(name)) for name in ("web", "other"))
    assert web == {"10.64.0.60", "fd00:64::60"}
    for address in ("10.64.0.1", *other):
        podman.execute("web", "ping6" if ":" in address else "ping", "-c", "1", "-W", "5", address)
    podman("rm", "--all", "--force", "--time", "0")
    assert held(service) == set()


def test_a_node_comes_from_host_local_with_its_pods_running(
    service: IpamdProcess, installed: InstalledNode, containerd: Containerd
) -> None:
    ipamctl = Ipamctl(service.folder, {"IPAMD_ENDPOINT": service.endpoint})
    installed.write(NETWORKS / "10-pods.conflist", shown.path("host-local.conflist").read_text())
    containerd.start()
    old = containerd.run_pod("old")
    service.empty()
    service.create_pool("worker-1", "10.64.3.0/24", routes=[{"dst": "0.0.0.0/0"}], state="draining")

    ipamctl("import", str(installed.results()), "--node", NODE)
    installed.run("rm", str(NETWORKS / "10-pods.conflist"))
    install(service, installed, "after-host-local.conflist")
    ipamctl("pool", "edit", "worker-1", "--state", "active")
    new = containerd.run_pod("new")

    assert old.addresses == ("10.64.3.10",)
    assert held(service) == {*old.addresses, *new.addresses}
    container = containerd.cri.start_container(new)
    containerd.cri.execute(container, "ping", "-c", "1", "-W", "5", *old.addresses)
    containerd.cri.stop_pod(old.id)
    assert held(service) == set(new.addresses)
