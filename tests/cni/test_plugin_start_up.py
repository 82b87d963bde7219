"""What a call costs before its first line: the modules that the installed command has CPython import."""

from pathlib import Path

import pytest

from tests.cni.executable import Document, Plugin
from tests.cni.peer import Peer, granted
from tests.node_executable import PIP

# Each of these takes as long as the plugin's own modules together.
COSTLY = {"dataclasses", "enum", "json", "re", "socket", "ssl", "subprocess", "typing"}
ASKING = {"ipam_plugin.ask", "cni_plugin.http", "cni_plugin.response"}
RARE = {"fcntl", "ipam_plugin.delivery", "cni_plugin.resolver"}


@pytest.fixture
def installed(scratch: Path, peer: Peer) -> Plugin:
    """The command that pip has installed, which tells what it imports."""
    telling = {"PYTHONPROFILEIMPORTTIME": "1"}
    return Plugin((str(PIP),), scratch / "state", peer.endpoint, more=telling)


def imported(plugin: Plugin, verb: str, config: Document) -> set[str]:
    """Give what a call imports after the interpreter itself is ready (the last of that is `site`)."""
    ended = plugin.call(verb, config)
    assert ended.code == 0, ended
    names = [line.rpartition("|")[2].strip() for line in ended.stderr.decode().splitlines()]
    return set(names[names.index("site") + 1 :])


def test_an_add_imports_only_what_it_needs(installed: Plugin, peer: Peer) -> None:
    peer.will(granted())

    modules = imported(installed, "ADD", installed.config())

    assert modules >= ASKING
    assert not modules & (COSTLY | RARE)


def test_a_status_that_asks_nobody_does_not_import_how_to_ask(installed: Plugin) -> None:
    modules = imported(installed, "STATUS", {**installed.config(), "cniVersion": "1.1.0"})

    assert "ipam_plugin.verbs" in modules
    assert not modules & (COSTLY | RARE | ASKING)
