"""The node executable as a file: the same bytes from every build, and nothing beside it that it needs."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.cni.authority import Authority
from tests.cni.peer import RESULT, granted, tcp_peer
from tests.node_executable import ROOT, static_plugin
from tests.release.native.empty_root import EmptyRoot
from tests.service import IpamdProcess


@pytest.fixture
def executable() -> Path:
    """What `make node` built, which the set-up of the tests does."""
    built = static_plugin()
    assert built is not None, "run `make node` first"
    return built


@pytest.fixture
def empty_root(scratch: Path, executable: Path) -> EmptyRoot:
    """A root with nothing in it but the executable and what the kernel gives."""
    return EmptyRoot(scratch / "root", executable)


def test_it_is_static(executable: Path) -> None:
    linked = subprocess.run(["ldd", executable], capture_output=True, text=True, timeout=120)

    assert "not a dynamic executable" in linked.stdout + linked.stderr


def test_it_gets_an_address_in_an_empty_root_over_tcp_and_a_unix_socket(
    empty_root: EmptyRoot, scratch: Path, ipamd_process: IpamdProcess
) -> None:
    ipamd_process.create_pool("pods", "10.9.0.0/24")

    over_tcp = empty_root.call("ADD", ipamd_process.tcp_endpoint)
    os.link(ipamd_process.socket, empty_root.folder / "linked.sock")
    over_socket = empty_root.call("ADD", "unix:///linked.sock")

    assert over_tcp.returncode == over_socket.returncode == 0, (over_tcp, over_socket)
    assert json.loads(over_tcp.stdout)["ips"] == json.loads(over_socket.stdout)["ips"]


def test_it_speaks_tls_in_an_empty_root_with_the_authority_that_it_is_given(
    empty_root: EmptyRoot, scratch: Path
) -> None:
    ours = Authority(scratch / "ours", "ours", "IP:127.0.0.1")
    other = Authority(scratch / "other", "other", "IP:127.0.0.1")
    shutil.copy(ours.ca, empty_root.folder / "ca.pem")
    shutil.copy(other.ca, empty_root.folder / "other.pem")
    peer = tcp_peer(ours.server_context())
    peer.will(granted())

    trusting = empty_root.call("ADD", peer.endpoint, caFile="/ca.pem")
    doubting = empty_root.call("ADD", peer.endpoint, caFile="/other.pem", timeout=1)
    peer.close()

    assert (trusting.returncode, trusting.stdout) == (0, RESULT), trusting
    assert doubting.returncode == 1
    assert json.loads(doubting.stdout)["code"] == 11
    assert "not signed by an authority in caFile" in json.loads(doubting.stdout)["details"]


@pytest.mark.parametrize("arguments", [["-c", "print(1)"], ["-i"], ["evil.py"], ["-m", "evil"], ["VERSION"]])
def test_arguments_variables_and_the_current_folder_mean_nothing(
    executable: Path, scratch: Path, arguments: list[str]
) -> None:
    for name in ("evil.py", "os.py", "boot.py", "ipam_plugin.py"):
        (scratch / name).write_text("print('evil')")
    variables = {"MICROPYPATH": str(scratch), "MICROPYINSPECT": "1", "PYTHONPATH": str(scratch)}

    ended = subprocess.run(
        [executable, *arguments],
        env={"CNI_COMMAND": "VERSION", **variables},
        cwd=scratch,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=120,
    )

    assert (ended.returncode, ended.stderr) == (0, b"")
    assert set(json.loads(ended.stdout)) == {"cniVersion", "supportedVersions"}


def test_under_a_name_that_is_no_plugins_it_refuses(executable: Path, scratch: Path) -> None:
    other = scratch / "bridge"
    shutil.copy(executable, other)
    gc = {"CNI_COMMAND": "GC", "CNI_PATH": "/"}

    ended = subprocess.run([other], env=gc, stdin=subprocess.DEVNULL, capture_output=True, timeout=120)

    assert ended.returncode == 1
    assert json.loads(ended.stdout)["code"] == 50
    assert "rename it to ipamd-ipam or ipamd-veth" in json.loads(ended.stdout)["msg"]


@pytest.mark.release  # it compiles everything anew, which nothing but the recipe's change can make differ
@pytest.mark.timeout(1200)  # a twelfth of it on a machine with nothing else to do
def test_two_builds_give_the_same_bytes(executable: Path, scratch: Path) -> None:
    elsewhere = scratch / "elsewhere"
    sources = elsewhere / "build" / "node"
    sources.mkdir(parents=True)
    for folder in ("native", "cni_plugin", "ipam_plugin", "netlink", "veth_plugin"):
        shutil.copytree(ROOT / folder, elsewhere / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for archive in (ROOT / "build" / "node").glob("*.orig.tar.*"):
        shutil.copy(archive, sources)

    another = {
        "CFLAGS": "-O0",
        "LDFLAGS": "-s",
        "MAKEFLAGS": "-k",
        "TZ": "Asia/Tokyo",
        "SOURCE_DATE_EPOCH": "1",
    }
    subprocess.run([elsewhere / "native" / "build"], env=os.environ | another, check=True, timeout=1100)

    again = elsewhere / executable.relative_to(ROOT)
    assert again.read_bytes() == executable.read_bytes()
