"""`ipamd-agent install` and `uninstall` on a scratch root."""

import json
import signal
from pathlib import Path

import pytest

from tests.agent.conftest import TEXT, NodeRoot
from tests.cni.authority import Authority
from tests.cni.executable import Plugin, finish
from tests.network.namespace import Namespace
from tests.service import IpamdProcess

MAIN_PLUGIN = "opt/cni/bin/ipamd-veth"
BINARY, NODE_JSON = "opt/cni/bin/ipamd-ipam", "etc/ipamd/node.json"
CONFLIST, MANIFEST = "etc/cni/net.d/10-pods.conflist", "var/lib/ipamd-node/installed.json"


def test_install_puts_plugin_node_file_credentials_and_network_in_place(
    node_root: NodeRoot, tmp_path: Path
) -> None:
    authority = Authority(tmp_path / "ca", "ours", "IP:127.0.0.1")
    join = node_root.file("join", f"{TEXT}\n")

    ended = node_root.install(
        *("--endpoint", "https://ipamd.example:8750", "--ca-file", authority.ca, "--node", "worker-1"),
        *("--cluster", "east", "--join-token-file", join, "--conflist", node_root.conflist()),
        *("--leases", "16"),
    )

    assert ended.code == 0, ended
    for binary in (BINARY, MAIN_PLUGIN):
        assert (node_root.folder / binary).stat().st_mode & 0o7777 == 0o755
    assert node_root.read(MAIN_PLUGIN) == node_root.read(BINARY), "one file, which looks at its name"
    assert (node_root.folder / "var/lib/ipamd-node/join-token").stat().st_mode & 0o7777 == 0o600
    assert json.loads(node_root.read(NODE_JSON) or b"") == {
        "endpoint": ["unix:///run/ipamd/agent.sock", "https://ipamd.example:8750"],
        "cluster": "east",
        "node": "worker-1",
        "caFile": "/etc/ipamd/ca.pem",
        "leases": {"max": 16},
    }
    assert node_root.read("etc/ipamd/ca.pem") == authority.ca.read_bytes()
    assert node_root.read(CONFLIST) == node_root.conflist().read_bytes()


@pytest.mark.parametrize(
    ("ipam", "says"),
    [
        ({"poools": [["a"]]}, "unsupported field ipam.poools: [["),
        ({"routes": [{"dst": "::/0", "via": "::1"}]}, "unsupported field ipam.routes[0].via"),
        ({"endpoint": "unix:///x"}, "has ipam.endpoint, which may only be in node.json"),
    ],
)
def test_a_network_whose_adds_would_be_refused_is_not_put_there(
    node_root: NodeRoot, ipam: dict[str, object], says: str
) -> None:
    file = node_root.conflist()
    written = json.loads(file.read_bytes())
    written["plugins"][0]["ipam"] |= ipam
    file.write_text(json.dumps(written))

    refused = node_root.install("--conflist", file)

    assert refused.code == 2
    assert says in refused.complaint
    assert node_root.read(CONFLIST) is None


def test_without_conflist_no_network_is_touched(node_root: NodeRoot) -> None:
    node_root.foreign("etc/cni/net.d/50-other.conflist", "{}")

    assert node_root.install("--node", "n1").code == 0

    assert [path.name for path in networks(node_root)] == ["50-other.conflist"]


def test_uninstall_takes_back_exactly_what_install_put_there(node_root: NodeRoot) -> None:
    node_root.foreign("opt/cni/bin/bridge", "theirs")
    node_root.foreign("etc/hostname", "node")
    before = node_root.snapshot()
    token = node_root.file("token", TEXT)
    assert node_root.install("--token-file", token, "--conflist", node_root.conflist()).code == 0
    node_root.new_version()
    assert node_root.install("--token-file", token, "--conflist", node_root.conflist()).code == 0

    ended = node_root.uninstall()

    assert ended.code == 0, ended
    assert node_root.snapshot() == before
    again = node_root.uninstall()
    assert (again.code, "nothing was installed" in again.complaint) == (1, True)


def test_uninstall_leaves_what_somebody_changed_and_what_the_plugin_keeps(node_root: NodeRoot) -> None:
    assert node_root.install("--node", "n1").code == 0
    node_root.foreign(NODE_JSON, "{}")
    node_root.foreign("var/lib/ipamd-node/spool/1-2-3.json", "{}")

    ended = node_root.uninstall()

    assert ended.code == 0
    assert "node.json: kept" in ended.out
    assert "1 releases wait" in ended.out
    assert node_root.read(NODE_JSON) == b"{}"
    assert node_root.read("var/lib/ipamd-node/spool/1-2-3.json") == b"{}"
    assert node_root.read(BINARY) is None


def test_purge_waits_for_the_spool_and_then_leaves_no_trace(node_root: NodeRoot) -> None:
    assert node_root.install("--node", "n1").code == 0
    entry = node_root.foreign("var/lib/ipamd-node/spool/1-2-3.json", "{}")
    for kept in ("secret", "machine", "census-receipt"):
        node_root.foreign(f"var/lib/ipamd-node/{kept}", kept)
    before = node_root.snapshot()

    refused = node_root.uninstall("--purge")
    untouched = node_root.snapshot()
    entry.unlink()
    purged = node_root.uninstall("--purge")

    assert (refused.code, purged.code) == (1, 0), purged
    assert "1 releases wait" in refused.complaint
    assert untouched == before
    assert node_root.snapshot() == {}


def test_what_is_kept_can_be_purged_after_an_uninstall_that_left_it(node_root: NodeRoot) -> None:
    assert node_root.install("--node", "n1").code == 0
    node_root.foreign("var/lib/ipamd-node/secret", "secret")

    codes = [node_root.uninstall(*flags).code for flags in ((), ("--purge",), ("--purge",))]

    assert codes == [0, 0, 1]
    assert node_root.read("var/lib/ipamd-node/secret") is None


def test_the_bridge_of_the_network_goes_where_that_is_said_and_nothing_is_on_it(
    node_root: NodeRoot, machine: Namespace
) -> None:
    machine.run("ip", "link", "add", "cni0", "up", "type", "bridge")
    machine.run("ip", "link", "add", "container", "master", "cni0", "type", "veth", "peer", "name", "peer")

    def uninstall(*flags: str) -> str:
        assert node_root.install("--conflist", node_root.conflist()).code == 0
        ended = node_root.uninstall_in(machine, *flags)
        assert ended.code == 0, ended
        return ended.out

    assert "bridge cni0: kept: it is in use" in uninstall("--bridges")
    machine.run("ip", "link", "delete", "container")
    uninstall()
    assert machine.has_interface("cni0")
    uninstall("--bridges")
    assert not machine.has_interface("cni0")
    assert "bridge" not in uninstall("--bridges")


def test_a_token_that_the_agent_renewed_is_not_put_back(node_root: NodeRoot) -> None:
    token = node_root.file("token", TEXT)
    assert node_root.install("--token-file", token).code == 0
    renewed = node_root.foreign("var/lib/ipamd-node/token", "ipamd_" + "R" * 43)

    assert node_root.install("--token-file", token).code == 0
    kept = renewed.read_text()
    other = node_root.file("other", "ipamd_" + "S" * 43)
    assert node_root.install("--token-file", other).code == 0

    assert kept == "ipamd_" + "R" * 43
    assert renewed.read_text() == "ipamd_" + "S" * 43 + "\n"


def test_a_network_of_ours_gives_way_to_its_new_name(node_root: NodeRoot) -> None:
    assert node_root.install("--conflist", node_root.conflist()).code == 0

    assert node_root.install("--conflist", node_root.conflist("05-pods.conflist")).code == 0

    assert [path.name for path in networks(node_root)] == ["05-pods.conflist"]


def test_links_of_the_nodes_root_are_followed_inside_it(node_root: NodeRoot) -> None:
    (node_root.folder / "usr/libexec").mkdir(parents=True)
    (node_root.folder / "opt").mkdir()
    (node_root.folder / "opt/cni").symlink_to("/usr/libexec/cni")
    before = node_root.snapshot()

    assert node_root.install().code == 0

    assert node_root.read("usr/libexec/cni/bin/ipamd-ipam") is not None
    assert node_root.uninstall().code == 0
    assert {name for name in node_root.snapshot() if name not in before} <= {"usr/libexec/cni"}


def test_an_upgrade_under_running_calls_disturbs_none(
    node_root: NodeRoot, ipamd_process: IpamdProcess, scratch: Path
) -> None:
    ipamd_process.create_pool("pods", "10.0.0.0/24")
    assert node_root.install().code == 0
    plugin = Plugin((str(node_root.folder / BINARY),), scratch / "state", ipamd_process.endpoint)
    assert ipamd_process.process is not None
    ipamd_process.process.send_signal(signal.SIGSTOP)
    calls = [plugin.start("ADD", CNI_CONTAINERID=f"c{number}") for number in range(32)]

    node_root.new_version()
    ended = node_root.install()
    ipamd_process.process.send_signal(signal.SIGCONT)

    assert ended.code == 0, ended
    assert [finish(call).code for call in calls] == [0] * 32
    assert plugin.call("DEL", CNI_CONTAINERID="c0").code == 0
    assert len(ipamd_process.allocations()) == 31


def flags(node_root: NodeRoot) -> tuple[str | Path, ...]:
    token = node_root.file("token", TEXT)
    return ("--node", "n1", "--token-file", token, "--conflist", node_root.conflist())


def test_a_kill_at_any_moment_of_the_first_install_leaves_nothing_or_all_of_a_file(
    root_in_memory: NodeRoot,
) -> None:
    for folder in ("etc", "var/lib/ipamd-node"):
        (root_in_memory.folder / folder).mkdir(parents=True)
    before = root_in_memory.snapshot()
    assert root_in_memory.install(*flags(root_in_memory)).code == 0
    whole = root_in_memory.snapshot()
    assert root_in_memory.uninstall().code == 0

    moment = 0
    while root_in_memory.install(*flags(root_in_memory), moment=moment).was_killed:
        found = visible(root_in_memory)
        assert {name: whole[name] for name in found} == found
        if CONFLIST in found:
            assert found.keys() == {name for name in whole if isinstance(whole[name], bytes)}
        root_in_memory.uninstall()
        assert root_in_memory.snapshot() == before, moment
        moment += 1
    assert moment > 20
    assert root_in_memory.snapshot() == whole


@pytest.mark.faults
def test_a_kill_at_any_moment_of_an_upgrade_leaves_each_file_old_or_new(root_in_memory: NodeRoot) -> None:
    assert root_in_memory.install(*flags(root_in_memory)).code == 0
    old = visible(root_in_memory)

    moment, killed = 0, True
    while killed:
        root_in_memory.new_version()
        more = ("--node", f"n{moment}", "--conflist", root_in_memory.conflist(timeout=5 + moment))
        killed = root_in_memory.install(*more, moment=moment).was_killed
        found = visible(root_in_memory)
        assert root_in_memory.install(*more).code == 0
        new = visible(root_in_memory)
        assert found.keys() == new.keys()
        for name in new.keys() - {MANIFEST}:
            assert found[name] in (old[name], new[name]), (moment, name)
        old = new
        moment += 1
    assert moment > 10
    assert not [name for name in root_in_memory.snapshot() if name.endswith(".ipamd-agent")]


@pytest.mark.faults
def test_a_kill_at_any_moment_of_uninstall_takes_the_network_first_and_can_be_said_again(
    root_in_memory: NodeRoot,
) -> None:
    moment = 0
    while True:
        assert root_in_memory.install(*flags(root_in_memory)).code == 0
        whole = visible(root_in_memory)
        if not root_in_memory.uninstall(moment=moment).was_killed:
            break
        left = visible(root_in_memory)
        assert {name: whole[name] for name in left} == left
        assert CONFLIST not in left or left.keys() == whole.keys()
        root_in_memory.uninstall()
        assert visible(root_in_memory) == {}
        moment += 1
    assert moment > 10


def networks(node_root: NodeRoot) -> list[Path]:
    return sorted((node_root.folder / "etc/cni/net.d").iterdir())


def visible(node_root: NodeRoot) -> dict[str, bytes | int]:
    """The files as runtimes and people see them: without temporary names."""
    return {
        name: data
        for name, data in node_root.snapshot().items()
        if isinstance(data, bytes)
        and not name.rpartition("/")[2].startswith(".")
        and not name.endswith("installing.json")
    }


def test_a_foreign_network_is_not_hidden_unless_told_to(node_root: NodeRoot) -> None:
    node_root.foreign("etc/cni/net.d/50-theirs.conflist", "{}")
    before = node_root.snapshot()

    refused = node_root.install("--conflist", node_root.conflist())
    untouched = node_root.snapshot()
    told = node_root.install("--conflist", node_root.conflist(), "--hide-others")

    assert refused.code == 1
    assert "would hide 50-theirs.conflist" in refused.complaint
    assert "--hide-others" in refused.complaint
    assert untouched == before
    assert told.code == 0
    assert node_root.read("etc/cni/net.d/50-theirs.conflist") == b"{}"


@pytest.mark.parametrize("path", [BINARY, NODE_JSON, CONFLIST])
def test_a_foreign_file_in_the_way_is_never_replaced(node_root: NodeRoot, path: str) -> None:
    node_root.foreign(path, "theirs")
    before = node_root.snapshot()

    refused = node_root.install("--conflist", node_root.conflist(), "--hide-others")

    assert refused.code == 1
    assert "exists, and ipamd-agent did not write it" in refused.complaint
    assert node_root.snapshot() == before


def test_a_plugin_that_a_package_put_there_is_left_to_the_package(node_root: NodeRoot) -> None:
    [built] = node_root.executables.glob("*/ipamd-ipam")
    for binary in (BINARY, MAIN_PLUGIN):
        packaged = node_root.folder / binary
        packaged.parent.mkdir(parents=True, exist_ok=True)
        packaged.write_bytes(built.read_bytes())
    before = node_root.snapshot()

    installed = node_root.install("--node", "n1")
    removed = node_root.uninstall()

    assert (installed.code, removed.code) == (0, 0), installed
    assert "ipamd-ipam: as it was" in installed.out
    assert node_root.snapshot() == before


def test_a_full_file_system_leaves_the_node_as_it_was(node_root: NodeRoot) -> None:
    mount = f"mount -t tmpfs -o size=200k none {node_root.folder} && mkdir -p {node_root.folder}/etc/cni"
    listing = f"find {node_root.folder} | sort"
    script = f'{mount} && {listing} && "$@"; code=$?; {listing}; exit $code'

    ended = node_root.install_under(script)

    lines = ended.out.splitlines()
    assert ended.code == 1
    assert "No space left on device; nothing was changed on this node" in ended.complaint
    assert len(ended.complaint.splitlines()) == 1
    assert lines[: len(lines) // 2] == lines[len(lines) // 2 :]


def test_a_folder_that_cannot_be_written_leaves_the_node_as_it_was(node_root: NodeRoot) -> None:
    bin_dir = node_root.folder / "opt/cni/bin"
    bin_dir.mkdir(parents=True)
    before = node_root.snapshot()
    script = f'mount --bind {bin_dir} {bin_dir} && mount -o remount,ro,bind {bin_dir} && "$@"'

    ended = node_root.install_under(script)

    assert ended.code == 1
    assert "/opt/cni/bin/ipamd-ipam cannot be written: Read-only file system" in ended.complaint
    assert node_root.snapshot() == before


def test_bad_input_gets_one_sentence_and_changes_nothing(node_root: NodeRoot) -> None:
    bad = node_root.file("bad", "ipamd_short")
    no_ca = node_root.file("ca.pem", "no certificate")
    script = node_root.file("script", "#!/bin/sh")
    (node_root.executables / "arm64").mkdir()
    (node_root.executables / "arm64/ipamd-ipam").write_bytes(script.read_bytes())

    cases: dict[tuple[str | Path, ...], str] = {
        ("--token-file", bad): "holds no token: write one line",
        ("--join-token-file", node_root.inputs / "none"): "cannot be read: No such file",
        ("--ca-file", no_ca): "holds no PEM",
        ("--architecture", "riscv64"): "has no executable for riscv64: it has amd64, arm64",
        ("--architecture", "arm64"): "is not an executable for arm64",
        ("--executables", node_root.inputs): "it has none at all",
        ("--endpoint", "http://10.0.0.1:8750"): "a token is not sent over http:// beyond loopback",
        ("--endpoint", "https://10.0.0.1:8750"): "must name the authority's certificate",
        ("--endpoint", "ipamd.example"): "must begin with http://",
        ("--node", "two words\n"): "is not a name",
        ("--bin-dir", "opt/cni"): "must be an absolute path",
        ("--conflist", node_root.conflist("notes.txt")): "must end in .conflist",
        ("--conflist", bad): "must end in .conflist",
        ("--conflist", node_root.file("a.conflist", "{")): "is not JSON",
        ("--conflist", node_root.file("b.conflist", "{}")): "has no plugin with ipam.type",
        ("--conflist", node_root.conflist(tokenFile="/x")): "which may only be in node.json",
        ("--root", node_root.inputs / "none"): "is not a folder",
    }
    for given, said in cases.items():
        ended = node_root.install(*given)
        assert (ended.code, said in ended.complaint) == (2, True), (given, ended)
        assert len(ended.complaint.splitlines()) == 1, ended
    assert node_root.snapshot() == {}
