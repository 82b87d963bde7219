"""A cluster whose nodes are namespaces: an agent on each, pods by the real plugin, switches and a router."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from tests.network.namespace import MakeNamespace, Namespace, run
from tests.node_executable import node_plugin
from tests.ports import free_port
from tests.waiting import eventually

AGENT: Final = Path(sys.executable).with_name("ipamd-agent")
RUN: Final = Path("/run/ipamd")
SECONDS: Final = 60
NOT_YET: Final = 11
"""The code of an ADD that is to be tried again."""

Document = dict[str, Any]


class Node:
    """A node: its network is a namespace, and its /run/ipamd its own."""

    def __init__(self, name: str, namespace: Namespace, folder: Path, endpoint: str) -> None:
        self.name = name
        self.namespace = namespace
        self.folder = folder
        self.endpoint = endpoint
        self.address = ""
        self.log = folder / "agent.log"
        self.options: list[str] = []
        self.environment: dict[str, str] = {}
        self._agent: subprocess.Popen[bytes] | None = None
        folder.mkdir()
        self._settings: Document = {"endpoint": [endpoint], "node": name, "stateDir": str(folder / "state")}
        self._write_settings()
        RUN.mkdir(exist_ok=True)
        script = f"mount -t tmpfs tmpfs {RUN} && echo && exec sleep infinity"
        self._mounts = subprocess.Popen(
            [*namespace.prefix(), "unshare", "--mount", "--propagation", "slave", "sh", "-c", script],
            stdout=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
        )
        assert self._mounts.stdout is not None
        self._mounts.stdout.readline()

    def set_most_seats(self, most: int) -> None:
        """Say how many free addresses the node may hold in advance."""
        self._settings["leases"] = {"max": most}
        self._write_settings()

    def _write_settings(self) -> None:
        (self.folder / "node.json").write_text(json.dumps(self._settings))

    def prefix(self) -> list[str]:
        """What to put before a command so that it runs on the node."""
        return ["nsenter", f"--target={self._mounts.pid}", "--mount", f"--net={self.namespace.path}"]

    def run(self, *command: str) -> str:
        """Run a command on the node; raise with its words where it fails."""
        return run(*self.prefix(), *command)

    def json(self, *command: str) -> Any:
        """What `ip -j` tells."""
        return json.loads(self.run(*command) or "[]")

    def start(self) -> None:
        """Start the agent."""
        arguments = ["run", *self._whose(), "--port", str(free_port()), "--pod-network", *self.options]
        with self.log.open("ab") as log:
            self._agent = subprocess.Popen(
                [*self.prefix(), str(AGENT), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=os.environ | self.environment,
            )

    def agent(self, *arguments: str) -> str:
        """Run another command of the agent's on the node; raise with its words where it fails."""
        return self.run(str(AGENT), *arguments)

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End the agent."""
        agent, self._agent = self._agent, None
        if agent is not None:
            agent.send_signal(number)
            agent.wait(SECONDS)

    def signal(self, number: int) -> None:
        """Send the agent a signal, such as to stand still."""
        assert self._agent is not None
        self._agent.send_signal(number)

    @property
    def process_id(self) -> int:
        """The agent's."""
        assert self._agent is not None
        return self._agent.pid

    def end(self) -> None:
        """End all that runs on the node."""
        with contextlib.suppress(ProcessLookupError):
            self.stop(signal.SIGKILL)
        self._mounts.kill()
        self._mounts.wait(SECONDS)

    def status(self) -> "subprocess.CompletedProcess[str]":
        """What the agent tells people."""
        return subprocess.run(
            [*self.prefix(), str(AGENT), "status", *self._whose()],
            capture_output=True,
            text=True,
            check=False,
        )

    def doctor(self, root: Path, *before: str) -> "subprocess.CompletedProcess[str]":
        """What the agent's doctor tells people, by commands that call it."""
        socket, where = ["--socket", str(self._socket)], ["--root", str(root)]
        return subprocess.run(
            [*self.prefix(), *before, str(AGENT), "doctor", *socket, *where],
            capture_output=True,
            text=True,
            check=False,
        )

    def document(self) -> Document | None:
        """What the agent tells of the pod network; None where it does not answer."""
        told = self._told()
        return None if told is None else told["pod_network"]

    def holds_addresses(self) -> bool:
        """Whether the node gives addresses of its lease to pods."""
        told = self._told()
        return told is not None and told["leases"]["open"] and told["leases"]["seats"]["free"] > 0

    def _told(self) -> Document | None:
        command = ["curl", "-sf", "--unix-socket", str(self._socket), "http://localhost/status"]
        told = subprocess.run([*self.prefix(), *command], capture_output=True, text=True, check=False)
        return json.loads(told.stdout) if told.returncode == 0 else None

    def modes(self) -> dict[str, str]:
        """How the agent says that it reaches each peer."""
        document = self.document()
        return {one["name"]: one["mode"] for one in document["peers"]} if document else {}

    def has_routes(self, peers: int) -> bool:
        """Whether the agent knows so many peers and has nothing left to write."""
        document = self.document()
        return (
            document is not None
            and len(document["peers"]) == peers
            and not document["faults"]
            and document["routes"]["wanted"] == document["routes"]["there"] > 0
        )

    def is_whole(self, peers: int) -> bool:
        """Whether it has, and pods may begin."""
        document = self.document()
        return document is not None and document["stands"] and self.has_routes(peers)

    @property
    def _socket(self) -> Path:
        return self.folder / "agent.sock"

    def _whose(self) -> list[str]:
        return ["--node-json", str(self.folder / "node.json"), "--socket", str(self._socket)]


class Pod:
    """A pod, made by the plugin that a node gets."""

    def __init__(self, name: str, node: Node, namespace: Namespace, ipam: Document) -> None:
        self.name = name
        self.node = node
        self.namespace = namespace
        self._network = {
            "cniVersion": "1.1.0", "name": "pods", "type": "ipamd-veth", "podNetwork": True, "ipam": ipam,
        }  # fmt: skip
        self.addresses: list[str] = []
        self.prefixes: list[str] = []

    def ask_for_prefix(self, length: int) -> None:
        """Let its ADD ask for a prefix too."""
        self._network["args"] = {"cni": {"prefix": length}}

    def call(self, verb: str) -> Document:
        """Call the plugin for the pod; what it printed."""
        plugins = node_plugin().parent
        variables = {
            "PATH": os.environ["PATH"],
            "CNI_COMMAND": verb,
            "CNI_IFNAME": "eth0",
            "CNI_CONTAINERID": self.name,
            "CNI_NETNS": str(self.namespace.path),
            "CNI_PATH": f"{plugins}:/usr/lib/cni",
            "CNI_ARGS": f"IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME={self.name}",
        }
        done = subprocess.run(
            [*self.node.prefix(), str(plugins / "ipamd-veth")],
            input=json.dumps(self._network),
            env=variables,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        document: Document = json.loads(done.stdout) if done.stdout else {}
        return document

    def add(self) -> None:
        """Give it its interface."""
        self._take(self.call("ADD"))

    def add_as_soon_as_it_may(self) -> None:
        """Give it its interface once the network of its node stands: runtimes try again and again."""
        deadline = time.monotonic() + SECONDS
        while (result := self.call("ADD")).get("code") == NOT_YET:
            assert time.monotonic() < deadline, result
        self._take(result)

    def _take(self, result: Document) -> None:
        assert "ips" in result, result
        self.addresses = [one["address"].partition("/")[0] for one in result["ips"]]
        self.prefixes = result.get("ipamd.io/prefixes", [])

    def run(self, *command: str) -> str:
        return self.namespace.run(*command)

    def sends(self, address: str) -> bool:
        """Whether an address answers one packet, the first of all."""
        return answers_one(self.namespace.prefix(), address)

    def reaches(self, address: str, size: int = 56, source: str | None = None) -> bool:
        """Whether an address answers one packet of so many bytes, which nobody may take apart."""
        return answers(self.namespace.prefix(), address, size, source)


def answers_one(prefix: list[str], address: str) -> bool:
    """Whether an address answers the one packet that is sent."""
    command = ["ping", "-n", "-c", "1", "-W", "5", address]
    return subprocess.run([*prefix, *command], capture_output=True, check=False).returncode == 0


def answers(prefix: list[str], address: str, size: int = 56, source: str | None = None) -> bool:
    """Whether an address answers one of three packets."""
    command = ["ping", "-n", "-c", "1", "-W", "1", "-M", "do", "-s", str(size)]
    command += ["-I", source] if source else []
    return any(
        subprocess.run([*prefix, *command, address], capture_output=True, check=False).returncode == 0
        for _ in range(3)
    )


class Fabric:
    """Switches and a router between nodes."""

    def __init__(self, make_namespace: MakeNamespace, folder: Path, endpoint: str) -> None:
        self._make = make_namespace
        self._folder = folder
        self._endpoint = endpoint
        self._nodes: list[Node] = []
        self._links = 0
        self.switches: list[Namespace] = []
        self.router = make_namespace("router")
        for key in ("net/ipv4/ip_forward", "net/ipv4/conf/all/rp_filter", "net/ipv4/conf/default/rp_filter"):
            self.router.sysctl(key, "1")
        self.router.sysctl("net/ipv6/conf/all/forwarding", "1")

    def switch(self, name: str, number: int) -> Namespace:
        """A switch with the router at 192.0.2.254 (or 198.51.100.254, 203.0.113.254, by its number)."""
        switch = self._make(name)
        switch.run("ip", "link", "add", "br0", "type", "bridge")
        switch.run("ip", "link", "set", "br0", "up")
        self._connect(self.router, f"to{number}", switch, f"{network_of(number)}.254/24")
        self.switches.append(switch)
        return switch

    def node(self, name: str, switch: Namespace, address: str, mtu: int = 1500) -> Node:
        """A node on a switch, strict about where packets come from, with the router as its way out."""
        namespace = self._make(name)
        for key in ("all", "default"):
            namespace.sysctl(f"net/ipv4/conf/{key}/rp_filter", "1")
        node = Node(name, namespace, self._folder / name, self._endpoint)
        node.address = address
        self._nodes.append(node)
        self.connect(node, switch, mtu)
        return node

    def connect(self, node: Node, switch: Namespace, mtu: int = 1500) -> None:
        """Give a node its uplink."""
        self._connect(node.namespace, "eth0", switch, f"{node.address}/24", mtu)
        gateway = node.address.rpartition(".")[0] + ".254"
        node.namespace.run("ip", "route", "add", "default", "via", gateway)

    def pod(self, name: str, node: Node, ipam: Callable[[Node], Document]) -> Pod:
        """A pod that has its interface."""
        pod = self.unborn_pod(name, node, ipam)
        pod.add()
        return pod

    def unborn_pod(self, name: str, node: Node, ipam: Callable[[Node], Document]) -> Pod:
        """A pod that has no interface yet."""
        return Pod(name, node, self._make(name), ipam(node))

    def end(self) -> None:
        for node in self._nodes:
            node.end()

    def _connect(
        self, machine: Namespace, name: str, switch: Namespace, address: str, mtu: int = 1500
    ) -> None:
        self._links += 1
        port = f"port{self._links}"
        machine.run(
            "ip", "link", "add", name, "mtu", str(mtu), "type", "veth",
            "peer", "name", port, "mtu", str(mtu), "netns", switch.name,
        )  # fmt: skip
        machine.run("ip", "address", "add", address, "dev", name)
        machine.run("ip", "link", "set", name, "up")
        switch.run("ip", "link", "set", port, "master", "br0", "up")


def network_of(number: int) -> str:
    """The first three numbers of a switch's network."""
    return ("192.0.2", "198.51.100", "203.0.113", "198.18.3", "198.18.4")[number]


def whole(nodes: list[Node], seconds: float = SECONDS) -> None:
    """Wait until all agents have all routes to each other."""
    for node in nodes:
        try:
            eventually(lambda node=node: node.is_whole(len(nodes) - 1), seconds)  # type: ignore[misc]
        except AssertionError as error:
            said = f"{node.name}: {node.document()}\n{node.log.read_text()[-3000:]}"
            raise AssertionError(said) from error
