"""A node's root folder, and `ipamd-agent` as people run it."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import pytest

from tests.agent.leased import MEMORY
from tests.agent.process import NODE, AgentProcess
from tests.agent.runs import Ended, run_agent, run_agent_after, run_agent_until
from tests.api.access.conftest import Caller
from tests.cni.authority import Authority
from tests.network.namespace import Host, MakeNamespace, Namespace
from tests.node_executable import ROOT, static_plugin
from tests.service import IpamdProcess, scratch_folder
from tests.tls_service import ADMIN, serving_tls

TEXT: Final = "ipamd_" + "J" * 43


@dataclass(frozen=True)
class NodeRoot:
    """A folder that is the root of a node, and the files that an operator has for it."""

    folder: Path
    executables: Path
    inputs: Path

    def file(self, name: str, text: str) -> Path:
        """A file of the operator's."""
        path = self.inputs / name
        path.write_text(text)
        return path

    def conflist(self, name: str = "10-pods.conflist", **ipam: Any) -> Path:
        """A network configuration of the operator's."""
        section = {"type": "ipamd-ipam", "pools": [["pods"]], **ipam}
        plugin = {"type": "bridge", "bridge": "cni0", "ipam": section}
        return self.file(name, json.dumps({"cniVersion": "1.0.0", "name": "pods", "plugins": [plugin]}))

    def foreign(self, path: str, text: str) -> Path:
        """A file of somebody else's on the node."""
        found = self.folder / path
        found.parent.mkdir(parents=True, exist_ok=True)
        found.write_text(text)
        return found

    def new_version(self) -> None:
        """Have another version of the executable to install."""
        for path in self.executables.glob("*/ipamd-ipam"):
            path.write_bytes(path.read_bytes() + b"next")

    def install(self, *flags: str | Path, moment: int | None = None) -> Ended:
        """Install; with a moment: until a kill at that change of the root."""
        return self._run(self._install(flags), moment)

    def uninstall(self, *flags: str, moment: int | None = None) -> Ended:
        return self._run(("uninstall", "--root", self.folder, *flags), moment)

    def _run(self, command: tuple[str | Path, ...], moment: int | None) -> Ended:
        if moment is None:
            return run_agent(*command)
        return run_agent_until(moment, self.folder, *command)

    def install_under(self, script: str) -> Ended:
        """Install by the executable itself, in a mount namespace; the script runs it as "$@"."""
        return run_agent_after(("unshare", "--mount", "sh", "-c", script, "sh"), *self._install(()))

    def install_in(self, machine: Host, *flags: str | Path) -> Ended:
        """Install by the executable itself on a machine whose network is a namespace's."""
        return run_agent_after(tuple(machine.prefix()), *self._install(flags))

    def uninstall_in(self, namespace: Namespace, *flags: str) -> Ended:
        """Uninstall by the executable itself on a machine whose network, and /sys, are the namespace's."""
        before = ("ip", "netns", "exec", namespace.name)
        return run_agent_after(before, "uninstall", "--root", self.folder, *flags)

    def _install(self, flags: tuple[str | Path, ...]) -> tuple[str | Path, ...]:
        return ("install", "--root", self.folder, "--executables", self.executables, *flags)

    def snapshot(self) -> Mapping[str, bytes | int]:
        """Every file with its bytes, every folder with its mode."""
        return {
            str(path.relative_to(self.folder)): path.read_bytes() if path.is_file() else path.lstat().st_mode
            for path in sorted(self.folder.rglob("*"))
        }

    def read(self, path: str) -> bytes | None:
        found = self.folder / path.lstrip("/")
        return found.read_bytes() if found.exists() else None


@pytest.fixture
def node_root(scratch: Path) -> NodeRoot:
    return new_root(scratch)


@pytest.fixture
def root_in_memory() -> Iterator[NodeRoot]:
    """For campaigns of kills, which are no power cuts: a hundred installations wait for no disk."""
    with TemporaryDirectory(prefix="ipamd-", dir="/dev/shm") as folder:
        yield new_root(Path(folder))


@pytest.fixture
def memory() -> Iterator[Path]:
    """A folder on tmpfs, for the /run of a node."""
    with TemporaryDirectory(prefix="ipamd-", dir=MEMORY) as folder:
        yield Path(folder)


@pytest.fixture
def machine(make_namespace: MakeNamespace) -> Namespace:
    """A machine's network, with nothing in it."""
    return make_namespace("machine")


@pytest.fixture(scope="module")
def lasting_ipamd(authority: Authority) -> Iterator[IpamdProcess]:
    """A service with TLS and an admin token of its own."""
    with serving_tls(authority, "10.0.0.0/20") as process:
        yield process


@pytest.fixture
def admin(lasting_ipamd: IpamdProcess) -> Iterator[Caller]:
    """Somebody who may do everything; after a test nothing is held and the node is forgotten."""
    if lasting_ipamd.process is None:
        lasting_ipamd.start()
    caller = Caller(lasting_ipamd, ADMIN)
    yield caller
    if lasting_ipamd.process is None:
        lasting_ipamd.start()
    for item in caller.get("/v1/allocations").json()["items"]:
        caller.ask("DELETE", f"/v1/allocations/{item['id']}")
    caller.ask("DELETE", f"/v1/nodes/default/{NODE}")


@pytest.fixture
def idle(
    lasting_ipamd: IpamdProcess, authority: Authority, scratch: Path, admin: Caller
) -> Iterator[AgentProcess]:
    """An agent with a join token that was not started yet."""
    agent = AgentProcess(scratch, f"https://127.0.0.1:{lasting_ipamd.port}", caFile=str(authority.ca))
    agent.join_with(admin.token_for("join", cluster="default")[1])
    yield agent
    agent.kill()


@pytest.fixture
def agent(idle: AgentProcess) -> AgentProcess:
    """An agent that has joined."""
    idle.start()
    return idle


@pytest.fixture(scope="module")
def lasting(lasting_ipamd: IpamdProcess, authority: Authority) -> Iterator[AgentProcess]:
    """One agent for all tests that let it be, of a node of its own."""
    with scratch_folder() as folder:
        agent = AgentProcess(
            folder, f"https://127.0.0.1:{lasting_ipamd.port}", "node-l", caFile=str(authority.ca)
        )
        agent.join_with(Caller(lasting_ipamd, ADMIN).token_for("join", cluster="default")[1])
        try:
            agent.start()
            yield agent
            agent.stop()
        finally:
            agent.kill()


def new_root(scratch: Path) -> NodeRoot:
    """An empty root, with the executable of this machine to install."""
    made = NodeRoot(scratch / "root", scratch / "node", scratch / "inputs")
    for folder in (made.folder, made.inputs):
        folder.mkdir()
    static = static_plugin()
    assert static is not None, f"build it: make node ({ROOT})"
    (made.executables / static.parent.name).mkdir(parents=True)
    (made.executables / static.parent.name / "ipamd-ipam").write_bytes(static.read_bytes())
    return made
