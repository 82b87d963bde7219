"""`make demo`: three containers on a network, a service that is killed, and what survives it.

Everything happens in network namespaces and folders of its own and is taken away at the end. Without root
it happens inside a user namespace.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from tests.network.namespace import Namespace, run
from tests.network.plugin import Attachment, Document, PluginRefused, Runtime, addresses
from tests.node_executable import node_main_plugin, static_plugin
from tests.service import EXECUTABLES, IpamdProcess, forget_last_adds

INSIDE: Final = "IPAMD_DEMO_INSIDE"
UNSHARE: Final = ("unshare", "--user", "--map-root-user", "--net", "--mount")
SYSTEM_FOLDER: Final = Path("/run/ipamd")
GATEWAYS: Final = ("169.254.1.1",)  # the node, on the other end of each pair
CONTAINERS: Final = ("web", "api", "db")


class NotShownError(Exception):
    """A step did not show what it claims."""


def main() -> int:
    if os.geteuid() != 0:
        return run_in_user_namespace()
    if INSIDE in os.environ:
        run("mount", "-t", "tmpfs", "none", "/run")
    try:
        with ExitStack() as cleanup:
            demonstrate(cleanup)
        prove(not left_behind(), "clean-up", f"left behind: {left_behind()}")
        say("clean-up", "namespaces, interfaces, sockets and files are gone")
    except (NotShownError, PluginRefused, AssertionError, subprocess.SubprocessError) as problem:
        print(f"The demo failed: {problem}", file=sys.stderr)
        return 1
    return 0


def run_in_user_namespace() -> int:
    """Do the same as root of a namespace; where the kernel forbids that, say what to do."""
    if (
        subprocess.run([*UNSHARE, "mount", "-t", "tmpfs", "none", "/run"], capture_output=True).returncode
        != 0
    ):
        print(
            "This machine does not let users make namespaces; run it as root: sudo make demo", file=sys.stderr
        )
        return 1
    command = [*UNSHARE, sys.executable, "-m", "scripts.demo"]
    return subprocess.run(command, env={**os.environ, INSIDE: "1"}).returncode


def demonstrate(cleanup: ExitStack) -> None:
    scratch = cleanup.enter_context(scratch_folder())
    service = cleanup.enter_context(ipamd(scratch))
    say("ipamd", f"one process, one SQLite file, one Unix socket: {service.socket}")
    prove("<h1>Pools</h1>" in service.http.get("/").text, "page", "does not show the pools")
    where = " in the demo's own network" if INSIDE in os.environ else ""
    say("page", f"for browsers{where}, as long as the demo runs: {service.tcp_endpoint}/")
    say(
        "plugin", "the static file" if static_plugin() else "under CPython; `make node` makes one static file"
    )
    ipamctl(
        service, "pool", "create", "demo-v4", "--subnet", "10.42.0.0/24", "--route", "0.0.0.0/0,10.42.0.1"
    )
    ipamctl(service, "pool", "create", "demo-v6", "--subnet", "fd42::/64", "--route", "::/0,fd42::1")
    say("pools", "ipamctl made demo-v4 (10.42.0.0/24) and demo-v6 (fd42::/64)")

    node = cleanup.enter_context(namespace("node"))
    containers = {name: cleanup.enter_context(namespace(name)) for name in CONTAINERS}
    network = Network(Runtime(node, plugin_folder(scratch / "bin")), configuration(service, scratch))
    connect(service, network, containers)
    delete_while_ipamd_is_dead(service, network, containers["db"])
    deliver_the_release(service, network)
    ask_history(service, network.released)

    for name in list(network.results):
        network.remove(name)
    prove(holders(service) == {}, "the end", f"still held: {holders(service)}")
    say("the end", "the last two containers are deleted, and no address is held")


class Network:
    """The demo's network, and the containers on it with what the plugin answered them."""

    def __init__(self, runtime: Runtime, config: Document) -> None:
        self.runtime = runtime
        self.config = config
        self.results: dict[str, Document] = {}
        self.released: set[str] = set()

    def add(self, container: str) -> set[str]:
        """Connect a container and return its addresses."""
        args = f"IgnoreUnknown=1;K8S_POD_NAMESPACE=demo;K8S_POD_NAME={container}"
        self.results[container] = self.runtime.add(self.config, attachment(container), args)
        return self.held()[container]

    def check(self, container: str) -> None:
        self.runtime.check(self.config, attachment(container), self.results[container])

    def remove(self, container: str) -> None:
        self.runtime.delete(self.config, attachment(container))
        self.released = bare(addresses(self.results.pop(container)))

    def held(self) -> dict[str, set[str]]:
        """What each container was told."""
        return {container: bare(addresses(result)) for container, result in self.results.items()}


def connect(service: IpamdProcess, network: Network, containers: dict[str, Namespace]) -> None:
    for name, inside in containers.items():
        told, found = network.add(name), bare(inside.addresses("eth0"))
        prove(found == told, name, f"was told {told} and has {found}")
        say(name, f"ipamd-veth made the pair, asked ipamd and put {words(told)} on eth0")
    held = network.held()
    for name, inside in containers.items():
        for address in set(GATEWAYS).union(*held.values()) - held[name]:
            inside.ping(address)
    say("ping", "each container reaches the node, and both others over IPv4 and over IPv6")
    prove(holders(service) == held, "ipamctl", f"shows {holders(service)}, the containers have {held}")
    print(ipamctl(service, "allocation", "list"))
    say("ipamctl", "says who has what, and it is what the interfaces have")


def delete_while_ipamd_is_dead(service: IpamdProcess, network: Network, inside: Namespace) -> None:
    held = network.held()
    service.kill()
    begin = time.monotonic()
    network.remove("db")
    took = time.monotonic() - begin
    prove(not inside.has_interface("eth0"), "kill -9", "db still has its interface")
    say(
        "kill -9",
        f"ipamd is dead; db was deleted all the same, in {took:.2f} s: its release waits on the node",
    )
    service.start()
    prove(holders(service) == held, "restart", f"of {held} ipamd remembers {holders(service)}")
    say("restart", "ipamd is back and lost nothing: every address is where it was, db's still too")


def deliver_the_release(service: IpamdProcess, network: Network) -> None:
    network.check("web")
    held = network.held()
    prove(holders(service) == held, "release", f"expected {held}, found {holders(service)}")
    say("release", f"the node's next call, CHECK of web, delivered it: {words(network.released)} came back")
    say("", "and web and api are where they were")


def ask_history(service: IpamdProcess, released: set[str]) -> None:
    for address in sorted(released):
        past = json.loads(ipamctl(service, "history", address, "-o", "json"))["items"]
        names = [entry["container_id"] for entry in past]
        prove(names == ["db"], "history", f"of {address} names {names}")
        print(ipamctl(service, "history", address))
    say("history", "says who had them and until when: db")


@contextmanager
def scratch_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="ipamd-demo-"))
    try:
        yield folder
    finally:
        forget_last_adds(folder)
        shutil.rmtree(folder)


@contextmanager
def ipamd(scratch: Path) -> Iterator[IpamdProcess]:
    """The service, on the socket where plugins look for it unless that place is taken or not ours."""
    own = INSIDE not in os.environ and not SYSTEM_FOLDER.exists()
    folder = SYSTEM_FOLDER if own else scratch
    folder.mkdir(exist_ok=True)
    service = IpamdProcess(scratch, socket=folder / "ipamd.sock")
    try:
        service.start()
        yield service
    finally:
        service.stop()
        service.http.close()
        if own:
            shutil.rmtree(SYSTEM_FOLDER)


@contextmanager
def namespace(name: str) -> Iterator[Namespace]:
    inside = namespace_of(name)
    inside.create()
    try:
        yield inside
    finally:
        inside.delete()


def plugin_folder(folder: Path) -> Path:
    """The executables of a node: the main plugin, which asks ipamd itself."""
    folder.mkdir()
    (folder / "ipamd-veth").symlink_to(node_main_plugin())
    return folder


def configuration(service: IpamdProcess, scratch: Path) -> Document:
    """A network as an operator writes it; the state folder is a scratch one here."""
    section = {
        "type": "ipamd-ipam",
        "endpoint": service.endpoint,
        "pools": ["demo-v4", "demo-v6"],
        "node": "demo-node",
        "stateDir": str(scratch / "node"),
    }
    return {
        "cniVersion": "1.0.0",
        "name": "demo",
        "type": "ipamd-veth",
        "ipam": section,
    }


def attachment(container: str) -> Attachment:
    return Attachment(container, str(namespace_of(container).path))


def namespace_of(name: str) -> Namespace:
    return Namespace(f"ipamd-demo-{name}")


def ipamctl(service: IpamdProcess, *arguments: str) -> str:
    return run(str(EXECUTABLES / "ipamctl"), "--endpoint", service.endpoint, *arguments)


def holders(service: IpamdProcess) -> dict[str, set[str]]:
    """Who holds which addresses, as ipamctl says it."""
    found: dict[str, set[str]] = {}
    for item in json.loads(ipamctl(service, "allocation", "list", "-o", "json"))["items"]:
        found.setdefault(item["container_id"], set()).add(item["address"])
    return found


def left_behind() -> list[str]:
    return [str(path) for path in Path("/run/netns").glob("ipamd-demo-*")]


def bare(found: set[str]) -> set[str]:
    """The addresses without their prefix lengths."""
    return {address.split("/")[0] for address in found}


def words(held: set[str]) -> str:
    return " and ".join(sorted(held))


def prove(shown: bool, step: str, otherwise: str) -> None:
    if not shown:
        raise NotShownError(f"{step}: {otherwise}")


def say(step: str, proof: str) -> None:
    print(f"{step:>9}  {proof}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
