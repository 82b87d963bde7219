"""What a call costs before its first line: the modules that the installed command has CPython import."""

from pathlib import Path

import pytest

from tests.cni.executable import Document, Plugin
from tests.cni.peer import RESULT, Peer, granted
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


@pytest.mark.parametrize(
    "variables",
    [
        {"PYTHONHOME": "/nowhere"},
        {"PYTHONPATH": "FOLDER"},
        {"PYTHONPLATLIBDIR": "nowhere"},
        {"PYTHONINSPECT": "1", "PYTHONVERBOSE": "1", "PYTHONDEVMODE": "1", "PYTHONMALLOC": "debug"},
        {"PYTHONIOENCODING": "utf-16", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"},
        {"PYTHONWARNINGS": "error", "PYTHONSAFEPATH": "", "PYTHONOPTIMIZE": "2", "PYTHONHASHSEED": "x"},
        {"PYTHONUSERBASE": "FOLDER", "HOME": "FOLDER"},
    ],
    ids=lambda variables: next(iter(variables)),
)
@pytest.mark.parametrize("called", ["by its path", "by a link", "by its name"])
def test_the_installed_command_starts_apart_from_pythons_variables(
    scratch: Path, peer: Peer, variables: dict[str, str], called: str
) -> None:
    evil = scratch / "evil"
    evil.mkdir()
    for module in ("os", "select", "time", "ipam_plugin", "usercustomize", "sitecustomize"):
        (evil / f"{module}.py").write_text("raise SystemExit(77)\n")
    link = scratch / "bin" / "ipamd-ipam"
    link.parent.mkdir()
    link.symlink_to(PIP)
    command = {
        "by its path": (str(PIP),),
        "by a link": (str(link),),
        "by its name": ("env", f"PATH={PIP.parent}", "ipamd-ipam"),
    }[called]
    more = {name: str(evil) if value == "FOLDER" else value for name, value in variables.items()}
    plugin = Plugin(command, scratch / "state", peer.endpoint, more=more)
    peer.will(granted())

    ended = plugin.call("ADD")

    assert (ended.code, ended.stdout, ended.stderr) == (0, RESULT, b"")
