"""What only the kernel sees: that a release is on disk before the runtime hears of success."""

import re
from pathlib import Path

import pytest

from tests.cni.executable import Plugin
from tests.cni.peer import Peer, granted, nobody

TRACED = "open,openat,write,fsync,rename,renameat,renameat2,mkdir,mkdirat,setsockopt,connect,exit_group"


@pytest.fixture
def trace(plugin: Plugin, scratch: Path) -> Path:
    """The system calls of the plugin's next call, in order."""
    log = scratch / "trace"
    plugin.before = ("strace", "-f", "-y", "-s", "16", "-e", f"trace={TRACED}", "-o", str(log))
    return log


def test_a_release_is_on_disk_under_its_name_before_del_ends(plugin: Plugin, trace: Path) -> None:
    assert plugin.call("DEL", plugin.config(endpoint=nobody())).code == 0

    [entry] = plugin.spool.glob("*.json")
    folder, unfinished = re.escape(str(plugin.spool)), re.escape(f"{plugin.spool}/.{entry.name}")
    steps = [
        rf'mkdir\w*\(.*"{folder}", 0700\)',
        rf"fsync\(\d+<{re.escape(str(plugin.state))}>\)",
        rf'open\w*\(.*"{unfinished}", O_WRONLY\|O_CREAT\|O_EXCL\|O_CLOEXEC, 0600\)',
        rf"write\(\d+<{unfinished}>",
        rf"fsync\(\d+<{unfinished}>\)\s+= 0",
        rf'rename\w*\(.*"{unfinished}", .*"{folder}/{re.escape(entry.name)}"',
        rf"fsync\(\d+<{folder}>\)\s+= 0",
        r"exit_group\(0\)",
    ]
    assert re.search(r"[\s\S]*".join(steps), trace.read_text()), trace.read_text()[-4000:]


def test_small_packets_are_not_held_back(plugin: Plugin, peer: Peer, trace: Path) -> None:
    peer.will(granted())

    assert plugin.call("ADD").code == 0

    assert re.search(r"TCP_NODELAY, \[1\][\s\S]*connect\(", trace.read_text())
