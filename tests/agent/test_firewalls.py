"""Firewalls that drop what nodes forward: they are named, and told of containers where that is allowed."""

import re
import select
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.agent.conftest import NodeRoot
from tests.agent.firewalls import KINDS, Firewall
from tests.agent.process import AgentProcess
from tests.agent.runs import run_agent_after
from tests.agent.test_host_sides import ADDRESSES, DUAL, agent, plugins
from tests.network.conftest import node
from tests.network.kernel import socket_in
from tests.network.namespace import MakeNamespace, Namespace
from tests.veth.beyond import BEYOND, NODE, wire
from tests.veth.conftest import container, third_party
from tests.veth.executable import MainPlugin
from tests.veth.ipam import NAME, ThirdParty
from tests.waiting import eventually

PORT = 7000
PACKET_SECONDS = 1.0
"""How long a packet may take; one that a firewall drops never comes."""
FAMILIES = (socket.AF_INET, socket.AF_INET6)
OWNED = """add table inet owned { flags owner; }
add chain inet owned forward { type filter hook forward priority 0; policy drop; }
"""
_COUNTED = re.compile(r" packets \d+ bytes \d+")

__all__ = ["agent", "container", "node", "plugins", "third_party"]


@pytest.fixture
def beyond(node: Namespace, make_namespace: MakeNamespace) -> Namespace:
    """A host that the node reaches; it has routes to the containers."""
    host = make_namespace("beyond")
    wire(node, host)
    for prefix, gateway in (("10.5.0.0/16", NODE[0]), ("fd05::/32", NODE[1])):
        host.run("ip", "route", "add", prefix, "via", gateway)
    return host


@pytest.fixture
def plugin(
    node: Namespace, container: Namespace, plugins: Path, third_party: ThirdParty, beyond: Namespace
) -> MainPlugin:
    third_party.answers("ADD", DUAL)
    network = {"cniVersion": "1.0.0", "name": "pods", "type": "ipamd-veth", "ipam": {"type": NAME}}
    return MainPlugin(node, plugins, network, {"CNI_CONTAINERID": "web", "CNI_NETNS": str(container.path)})


@pytest.fixture(params=list(KINDS))
def firewall(request: pytest.FixtureRequest, node: Namespace, scratch: Path) -> Iterator[Firewall]:
    folder = scratch / "firewall"
    folder.mkdir()
    made = KINDS[request.param](node, folder)
    yield made
    made.end()


@pytest.fixture
def listeners(container: Namespace, beyond: Namespace) -> Iterator[None]:
    """Somebody who takes connections at either end: ufw lets pings pass, a reject is like a closed port."""
    with ExitStack() as stack:
        for namespace in (container, beyond):
            taking = stack.enter_context(socket_in(namespace, socket.AF_INET6))
            taking.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            taking.bind(("::", PORT))
            taking.listen(1 << 12)  # the kernel connects so many by itself
        yield


def passes(container: Namespace, beyond: Namespace) -> list[bool]:
    """Whether packets pass in both families: from the container, and to it."""
    asked = [(container, BEYOND), (beyond, ADDRESSES)]
    ways = [(source, *way) for source, targets in asked for way in zip(FAMILIES, targets, strict=True)]
    with ExitStack() as stack:
        connecting = []
        for source, family, address in ways:
            one = stack.enter_context(socket_in(source, family))
            one.setblocking(False)
            one.connect_ex((address, PORT))
            connecting.append(one)
        deadline = time.monotonic() + PACKET_SECONDS
        return [connected(one, deadline) for one in connecting]


def connected(one: socket.socket, deadline: float) -> bool:
    select.select([], [one], [], max(0, deadline - time.monotonic()))
    try:
        one.getpeername()
    except OSError:
        return False
    return True


def change_something(node: Namespace) -> None:
    """Have the agent look at once, as it does after a change of nftables, and not within ten seconds."""
    node.run("nft", "add", "table", "inet", "something")
    node.run("nft", "delete", "table", "inet", "something")


@pytest.mark.usefixtures("listeners")
def test_the_accept_comes_where_it_is_allowed_and_again_after_a_reload(
    plugin: MainPlugin,
    container: Namespace,
    beyond: Namespace,
    firewall: Firewall,
    node: Namespace,
    agent: AgentProcess,
) -> None:
    plugin.add()
    firewall.load()
    change_something(node)
    eventually(lambda: not any(passes(container, beyond)))
    eventually(lambda: "drops forwarded packets" in agent.status().out)

    (agent.folder / "allow-forwarding").write_text("ipamd+\n")
    change_something(node)

    eventually(lambda: all(passes(container, beyond)))
    assert "drops forwarded packets" not in agent.status().out
    firewall.load()
    eventually(lambda: all(passes(container, beyond)))


@pytest.mark.usefixtures("listeners")
def test_install_puts_the_accept_and_uninstall_takes_it_back(
    plugin: MainPlugin,
    container: Namespace,
    beyond: Namespace,
    firewall: Firewall,
    node_root: NodeRoot,
    node: Namespace,
) -> None:
    plugin.add()
    firewall.load()
    eventually(lambda: not any(passes(container, beyond)))
    before = rules(node)

    installed = node_root.install_in(firewall, "--allow-forwarding")

    assert (installed.code, all(passes(container, beyond))) == (0, True), installed
    assert rules(node) != before
    uninstalled = run_agent_after(tuple(firewall.prefix()), "uninstall", "--root", node_root.folder)
    assert uninstalled.code == 0, uninstalled
    assert rules(node) == before
    assert not any(passes(container, beyond))


def test_a_table_that_its_owner_alone_may_change_is_named(node_root: NodeRoot, node: Namespace) -> None:
    with subprocess.Popen(
        [*node.prefix(), "nft", "-i"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    ) as nft:
        assert nft.stdin is not None
        nft.stdin.write(OWNED.encode())
        nft.stdin.flush()
        eventually(lambda: "owned" in node.run("nft", "list", "ruleset"))

        installed = node_root.install_in(node, "--allow-forwarding")

        assert installed.code == 0, installed
        assert "table inet owned drops forwarded packets by its policy, and its owner alone" in installed.out
        nft.kill()


def rules(node: Namespace) -> list[str]:
    """What the two kinds of iptables and nftables have, as their own commands tell it."""
    told = "".join(
        node.run(command)
        for command in (
            "iptables-legacy-save",
            "ip6tables-legacy-save",
            "iptables-nft-save",
            "ip6tables-nft-save",
        )
    )
    told += node.run("nft", "list", "ruleset")
    lines = [_COUNTED.sub("", line) for line in told.splitlines()]
    return [line for line in lines if not line.startswith(("#", ":"))]
