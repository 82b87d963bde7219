"""Nodes whose containers really live: each has an agent, our main plugin, and network namespaces."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.agent.process import AgentProcess
from tests.cni.executable import Finished
from tests.faults.machine import in_another_boot
from tests.network.conftest import DEBIAN_PLUGINS, plugin_folder
from tests.network.namespace import MakeNamespace, Namespace
from tests.node_executable import node_plugin
from tests.veth.executable import MainPlugin, put
from tests.waiting import eventually

LOOKS: Final = "1"
"""Seconds between two looks of an agent. Services here free after a grace that is as short."""

AGENT_STARTS: Final = 600
"""Seconds after a boot: later than all containers that begin before it, as their plugin's clock has it."""


class Booted:
    """A machine's network, in a boot of its own."""

    def __init__(self, machine: Namespace, boot: Sequence[str]) -> None:
        self._machine = machine
        self._boot = boot

    def prefix(self) -> list[str]:
        return [*self._machine.prefix(), *self._boot]


class LivingNode:
    """A node, and which container has which address on it. Each pool has a network of its own."""

    def __init__(self, name: str, folder: Path, endpoint: str, make: MakeNamespace) -> None:
        folder.mkdir()
        self.name = name
        self.addresses: dict[str, str] = {}
        self.namespaces: dict[str, Namespace] = {}
        self.make = make  # makes the namespaces of its containers
        self._endpoint = endpoint
        self.agent = AgentProcess(folder, endpoint, name)
        self.agent.options = ("--look-every", LOOKS)
        self.agent.machine = make(name)
        plugins = plugin_folder(folder / "bin", DEBIAN_PLUGINS, node_plugin())
        put(plugins, "static")
        self._plugin = MainPlugin(self.agent.machine, plugins, {"cniVersion": "1.0.0", "type": "ipamd-veth"})

    def starts(self, container: str, pool: str) -> None:
        """A container starts, and must get an address."""
        ended = self.tries(container, pool, seconds=30)
        assert ended.code == 0, ended
        self.addresses[container] = ended.json["ips"][0]["address"].partition("/")[0]

    def tries(self, container: str, pool: str, seconds: int = 1) -> Finished:
        """A container wants to start, and waits so long for an address."""
        self.namespaces[container] = self.make(f"{self.name}-{container}")
        return self._call("ADD", container, pool, seconds)

    def ends(self, container: str, pool: str) -> Finished:
        """A container ends, and its runtime says so."""
        return self._call("DEL", container, pool, 1)

    def _call(self, verb: str, container: str, pool: str, seconds: int) -> Finished:
        ipam = {
            "type": "ipamd-ipam",
            "endpoint": self._endpoint,
            "node": self.name,
            "stateDir": str(self.agent.state),
            "pools": [pool],
            "timeout": seconds,
        }
        given = {
            "CNI_CONTAINERID": container,
            "CNI_NETNS": str(self.namespaces[container].path),
            "CNI_ARGS": f"IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME={container}",
        }
        return self._plugin.call(verb, self._plugin.config(name=pool, ipam=ipam), **given)

    def reboots(self, machine: Namespace, run: Path, boot_id: Path) -> None:
        """Be in another boot, with a network and a /run that are new; its agent does not run yet."""
        self.agent.kill()
        self.agent.machine, self.agent.run, self.agent.boot_id = machine, run, boot_id
        self.agent.uptime = AGENT_STARTS
        self._plugin.node = Booted(machine, in_another_boot(boot_id))

    def looks(self) -> None:
        """Wait until its agent has told once more what lives."""
        first = self.told()
        eventually(lambda: self.told() > first)

    def told(self) -> int:
        """How often its agent has told what lives, since that started."""
        found: int = self.agent.ask("GET", "/status").json()["containers"]["looks"]
        return found


@contextmanager
def living_nodes(folder: Path, make: MakeNamespace, **endpoints: str) -> Iterator[list[LivingNode]]:
    """Nodes by name, each of which calls ipamd at its endpoint; their agents run until the block is left."""
    nodes = [LivingNode(name, folder / name, endpoint, make) for name, endpoint in endpoints.items()]
    try:
        for node in nodes:
            node.agent.start()
        yield nodes
    finally:
        for node in nodes:
            node.agent.kill()
