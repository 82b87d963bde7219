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
from typing import Any, Final

from tests.network.namespace import Namespace, run
from tests.network.plugin import Attachment, Runtime, addresses
from tests.service import EXECUTABLES, IpamdProcess

INSIDE: Final = "IPAMD_DEMO_INSIDE"
UNSHARE: Final = ("unshare", "--user", "--map-root-user", "--net", "--mount")
REFERENCE_PLUGINS: Final = Path("/usr/lib/cni")
SYSTEM_FOLDER: Final = Path("/run/ipamd")
GATEWAYS: Final = ("10.42.0.1", "fd42::1")
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
        say("clean-up", "namespaces, bridge, sockets and files are gone")
    except (NotShownError, AssertionError, subprocess.SubprocessError) as problem:
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

    ipamctl(service, "pool", "create", "demo-v4", "--subnet", "10.42.0.0/24", "--route", "0.0.0.0/0")
    ipamctl(service, "pool", "create", "demo-v6", "--subnet", "fd42::/64", "--route", "::/0")
    say("pools", "ipamctl made demo-v4 (10.42.0.0/24) and demo-v6 (fd42::/64)")

    node = cleanup.enter_context(namespace("node"))
    containers = {name: cleanup.enter_context(namespace(name)) for name in CONTAINERS}
    attachments = {name: Attachment(name, str(inside.path)) for name, inside in containers.items()}
    runtime = Runtime(node, plugin_folder(scratch / "bin"))
    network = configuration(service, scratch)
    held = {name: addresses(runtime.add(network, who, pod(name))) for name, who in attachments.items()}
    for name, inside in containers.items():
        prove(
            inside.addresses("eth0") == held[name], name, f"has {inside.addresses('eth0')} on its interface"
        )
        say(name, f"the bridge plugin asked ipamd-ipam and put {words(held[name])} on eth0")

    for name, inside in containers.items():
        for address in {*GATEWAYS, *(bare(a) for other in held if other != name for a in held[other])}:
            inside.ping(address)
    say("ping", "every container reaches the gateway and both others, over IPv4 and over IPv6")

    prove(holders(service) == held, "ipamctl", f"shows {holders(service)} for {held}")
    print(ipamctl(service, "allocation", "list"))
    say("ipamctl", "knows who has what, and it is what the interfaces have")

    service.kill()
    begin = time.monotonic()
    runtime.delete(network, attachments["db"])
    took = time.monotonic() - begin
    prove(not containers["db"].has_interface("eth0"), "db", "still has its interface")
    say(
        "kill -9",
        f"ipamd is dead, and db was deleted all the same, in {took:.2f} s: its release waits on the node",
    )

    service.start()
    prove(holders(service) == held, "start", f"ipamd remembers {holders(service)} of {held}")
    say("start", "ipamd is back and has lost nothing: every address is where it was, db's too")

    again = runtime.add(network, Attachment("web", attachments["web"].netns, "eth1"), pod("web"))
    runtime.delete(network, Attachment("web", attachments["web"].netns, "eth1"))
    released = held.pop("db")
    prove(holders(service) == held, "release", f"expected {held}, found {holders(service)}")
    prove(not addresses(again) & released, "release", f"{again} was given at once to somebody else")
    say("release", f"the node's next call took it along: {words(released)} is free, web and api have theirs")

    for address in sorted(bare(address) for address in released):
        past = json.loads(ipamctl(service, "history", address, "-o", "json"))["items"]
        names = [entry["workload"]["name"] for entry in past]
        prove(names == ["db"], "history", f"of {address} is {past}")
    say("history", f"ipamd remembers that db had {words(released)}")

    for name in held:
        runtime.delete(network, attachments[name])
    prove(holders(service) == {}, "the end", f"still held: {holders(service)}")
    say("the end", "the last two containers are deleted, and no address is held")


@contextmanager
def scratch_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="ipamd-demo-"))
    try:
        yield folder
    finally:
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
    inside = Namespace(f"ipamd-demo-{name}")
    inside.create()
    try:
        yield inside
    finally:
        inside.delete()


def plugin_folder(folder: Path) -> Path:
    """The executables of a node: the reference plugin and ours."""
    folder.mkdir()
    (folder / "bridge").symlink_to(REFERENCE_PLUGINS / "bridge")
    (folder / "ipamd-ipam").symlink_to(EXECUTABLES / "ipamd-ipam")
    return folder


def configuration(service: IpamdProcess, scratch: Path) -> dict[str, Any]:
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
        "type": "bridge",
        "bridge": "cni0",
        "isGateway": True,
        "ipam": section,
    }


def pod(name: str) -> str:
    """What a runtime tells the plugin about the workload (CNI_ARGS)."""
    return f"IgnoreUnknown=1;K8S_POD_NAMESPACE=demo;K8S_POD_NAME={name}"


def ipamctl(service: IpamdProcess, *arguments: str) -> str:
    return run(str(EXECUTABLES / "ipamctl"), "--endpoint", service.endpoint, *arguments)


def holders(service: IpamdProcess) -> dict[str, set[str]]:
    """Who holds which addresses, as ipamctl says it."""
    found: dict[str, set[str]] = {}
    for item in json.loads(ipamctl(service, "allocation", "list", "-o", "json"))["items"]:
        found.setdefault(item["workload"]["name"], set()).add(item["address"])
    return found


def left_behind() -> list[str]:
    return [str(path) for path in Path("/run/netns").glob("ipamd-demo-*")]


def bare(address: str) -> str:
    return address.split("/")[0]


def words(held: set[str]) -> str:
    return " and ".join(bare(address) for address in sorted(held))


def prove(shown: bool, step: str, otherwise: str) -> None:
    if not shown:
        raise NotShownError(f"{step}: {otherwise}")


def say(step: str, proof: str) -> None:
    print(f"{step:>9}  {proof}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
