"""A node from nothing, with every default: install, run, a pod, no agent, uninstall."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent.conftest import NodeRoot
from tests.agent.runs import AGENT
from tests.api.access.conftest import Caller
from tests.cni.authority import Authority
from tests.ports import free_port
from tests.service import IpamdProcess

_END = "-- that was all --"

# A mount namespace in which /etc, /opt, /run and /var/lib are this node's own, and go with it.
_NODE = """
set -eu
mount -t tmpfs none "$1"
for folder in etc opt var/lib; do
    mkdir -p "$1/$folder" "$1/work/$folder"
    mount -t overlay node -o "lowerdir=/$folder,upperdir=$1/$folder,workdir=$1/work/$folder" "/$folder"
done
mount -t tmpfs none /run
rm -rf /etc/cni /etc/ipamd /opt/cni /var/lib/ipamd-node # not this machine's: only the node's view of them
shift
exec "$@"
"""


class Machine:
    """A machine of which only the mounts are its own."""

    def __init__(self, folder: Path) -> None:
        self._shell = subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", _NODE, "sh", str(folder), "sh"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, command: str) -> str:
        """Run a line of shell on it; what it printed."""
        assert self._shell.stdin is not None
        assert self._shell.stdout is not None
        self._shell.stdin.write(f"{command}\necho; echo {_END}\n")
        self._shell.stdin.flush()
        lines = []
        for line in self._shell.stdout:
            if line.strip() == _END:
                break
            lines.append(line)
        return "".join(lines).strip()

    def stop(self) -> None:
        """End it, with what runs on it in the background."""
        self._shell.communicate("kill $agent; wait $agent; exit\n", timeout=120)


@pytest.fixture
def machine(scratch: Path) -> Iterator[Machine]:
    (scratch / "mounts").mkdir()
    made = Machine(scratch / "mounts")
    yield made
    made.stop()


def test_a_machine_becomes_a_node_serves_a_pod_and_is_as_it_was_again(
    machine: Machine, node_root: NodeRoot, lasting_ipamd: IpamdProcess, authority: Authority, admin: Caller
) -> None:
    join = node_root.file("join", admin.token_for("join", cluster="default")[1])
    conflist = node_root.conflist()
    section = json.loads(conflist.read_text())["plugins"][0]
    config = node_root.file("config", json.dumps({"cniVersion": "1.0.0", "name": "pods", **section}))
    plugin = (
        "env CNI_CONTAINERID=c1 CNI_NETNS=/run/netns/gone CNI_IFNAME=eth0 CNI_PATH=/opt/cni/bin "
        f"CNI_COMMAND=%s /opt/cni/bin/ipamd-ipam < {config}"
    )
    files = "find /etc/ipamd /etc/cni /opt/cni /var/lib/ipamd-node 2>/dev/null | sort"
    before = machine.run(files)

    installed = machine.run(
        f"{AGENT} install --executables {node_root.executables} "
        f"--endpoint https://127.0.0.1:{lasting_ipamd.port} "
        f"--ca-file {authority.ca} --node node-a --join-token-file {join} --conflist {conflist} --hide-others"
    )
    machine.run(f"{AGENT} run --port {free_port()} >/run/agent.log 2>&1 & agent=$!")
    machine.run(f"for i in $(seq 20); do {AGENT} status && break; sleep 0.2; done")
    told = machine.run(f"{AGENT} status; cat /run/agent.log")
    assert "node-a of cluster default" in told, (installed, told)
    with_agent = machine.run(plugin % "ADD")
    machine.run("kill $agent; wait $agent")
    without_agent = machine.run(plugin % "CHECK") + machine.run(plugin % "DEL")
    machine.run(f"{AGENT} uninstall --purge")

    assert "10-pods.conflist: put there" in installed
    assert json.loads(with_agent)["ips"], with_agent
    assert "prevResult" in without_agent  # ipamd's own word: a CHECK needs the result of the ADD
    assert admin.get("/v1/allocations").json()["items"] == []
    assert machine.run(files) == before
