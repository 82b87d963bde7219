"""podman 4 with the CNI backend, with bridge and ipamd-ipam."""

import pytest

from tests.network.conftest import Ipam, each_executable
from tests.network.plugin import Attachment, Document, Runtime
from tests.network.podman import Podman
from tests.service import IpamdProcess

pytestmark = each_executable

GATEWAY, GATEWAY6 = "10.64.0.1", "fd00:64::1"


@pytest.fixture
def service(ipamd_process: IpamdProcess) -> IpamdProcess:
    """The service with a dual-stack pair of pools whose addresses cool down for an hour."""
    ipamd_process.create_pool("pods-v4", "10.64.0.0/24", routes=[{"dst": "0.0.0.0/0"}], cooldown=3600)
    ipamd_process.create_pool("pods-v6", "fd00:64::/64", routes=[{"dst": "::/0"}], cooldown=3600)
    return ipamd_process


@pytest.fixture
def bridge(service: IpamdProcess, ipam: Ipam) -> Document:
    return {"type": "bridge", "bridge": "cni0", "isGateway": True, "ipam": ipam("pods-v4", "pods-v6")}


@pytest.fixture
def engine(bridge: Document, podman: Podman) -> Podman:
    """podman on a network of bridge and ipamd-ipam, with the image loaded."""
    podman.configure_network("1.0.0", bridge)
    podman.load_image()
    return podman


def on_interface(engine: Podman, name: str) -> set[str]:
    """The global addresses that a container sees on its eth0."""
    lines = engine.execute(name, "ip", "address", "show", "dev", "eth0", "scope", "global").splitlines()
    return {line.split()[1].split("/")[0] for line in lines if line.strip().startswith("inet")}


def test_containers_get_addresses_of_both_families_and_reach_gateway_and_each_other(
    service: IpamdProcess, engine: Podman
) -> None:
    engine.run("web")
    engine.run("other")

    web, other = on_interface(engine, "web"), on_interface(engine, "other")
    assert len(web) == len(other) == 2
    assert service.addresses() == web | other
    assert service.addresses(container_id=engine.container_id("web")) == web
    for address in (GATEWAY, GATEWAY6, *other):
        engine.execute("web", "ping6" if ":" in address else "ping", "-c", "1", "-W", "5", address)


def test_a_container_that_is_restarted_has_addresses_that_work(service: IpamdProcess, engine: Podman) -> None:
    engine.run("web")
    engine("restart", "web")

    assert service.addresses() == on_interface(engine, "web")
    engine.execute("web", "ping", "-c", "1", "-W", "5", GATEWAY)


def test_a_container_gets_the_address_it_asks_for(service: IpamdProcess, engine: Podman) -> None:
    engine.run("web", "--ip", "10.64.0.60")

    assert "10.64.0.60" in on_interface(engine, "web")
    assert "10.64.0.60" in service.addresses()


def test_an_address_that_another_container_holds_is_refused_and_says_by_whom(
    service: IpamdProcess, engine: Podman
) -> None:
    engine.run("web", "--ip", "10.64.0.60")

    with pytest.raises(AssertionError, match="web"):
        engine.run("thief", "--ip", "10.64.0.60")

    assert service.addresses() == on_interface(engine, "web")


def test_a_stopped_container_starts_with_its_own_address_at_once_though_it_cools_down(
    service: IpamdProcess, engine: Podman
) -> None:
    engine.run("web", "--ip", "10.64.0.60")

    engine("stop", "web")
    assert service.addresses() == set()
    engine("start", "web")

    assert "10.64.0.60" in on_interface(engine, "web")
    assert service.addresses() == on_interface(engine, "web")


def test_a_container_is_removed_while_ipamd_is_down_and_its_release_arrives_with_the_next(
    service: IpamdProcess, engine: Podman
) -> None:
    engine.run("web")
    engine.run("other")
    held = service.addresses()
    service.kill()

    engine("rm", "--force", "--time", "0", "web")

    service.start()
    assert service.addresses() == held
    engine.run("following")
    assert service.addresses() == on_interface(engine, "other") | on_interface(engine, "following")


def test_a_del_that_comes_again_without_namespace_changes_nothing(
    service: IpamdProcess, engine: Podman, bridge: Document, runtime: Runtime
) -> None:
    engine.run("web")
    engine.run("other")
    web = engine.container_id("web")
    engine("stop", "web")

    config = {"cniVersion": "1.0.0", "name": engine.network, **bridge}
    runtime.delete(config, Attachment(web, netns=""))
    runtime.delete(config, Attachment(web, netns=""))

    assert service.addresses() == on_interface(engine, "other")
