"""`ipamd-agent uninstall`: remove what was installed, the network configuration first."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from ipam_plugin.node_name import FILE as NODE_NAME_FILE
from node_agent.failure import CommandFailed
from node_agent.firewall import keeping, permission
from node_agent.installation import bridge, manifest
from node_agent.installation.install import clear
from node_agent.installation.installed_file import Kind, digest_of
from node_agent.installation.manifest import Entry, Manifest
from node_agent.installation.options import NODE_JSON
from node_agent.installation.root import Root
from node_agent.node import OWN_FILES, STATE_DIR
from node_agent.staging import sync_folder, temporary
from node_agent.text import say

_SPOOL: Final = f"{STATE_DIR}/spool"
_NETWORKS: Final = f"{STATE_DIR}/networks"
"""What the plugin keeps for the DEL of a container whose configuration has lost it."""


class NothingInstalled(CommandFailed):
    """There is nothing that `install` wrote."""


def uninstall(root: Root, *, purge: bool, bridges: bool) -> None:
    """Remove what `install` wrote; with `purge` also what the agent and the plugin keep there.

    With `bridges` also remove the bridges of its network configuration that nothing is connected to. First
    this machine's lease is given up, if it is this node's. Raises CommandFailed, before it removes anything,
    if releases still wait or the agent keeps a lease, or NothingInstalled.
    """
    with root.locked():
        was_under_way = clear(root)
        put = Manifest.read(root / manifest.PATH)
        if put is None and was_under_way:
            say("leftovers of an interrupted install: removed")
            return
        if put is None and not (purge and _is_anything_kept(root)):
            raise NothingInstalled(f"nothing was installed under {root}: there is no {root / manifest.PATH}")
        waiting = _waiting(root)
        if purge and waiting:
            raise CommandFailed(
                f"{waiting} releases wait in {root / _SPOOL}: let `ipamd-agent run` deliver them, or remove "
                "that folder if their addresses may stay taken"
            )
        _give_back(root)
        idle = _bridges(root, put) if bridges and put is not None else []
        try:
            backwards = list(put.entries.values())[::-1] if put is not None else []
            for entry in sorted(backwards, key=lambda one: one.kind is not Kind.NETWORK):
                _take_back(root, entry)
            if purge:
                _purge(root)
            if put is not None:
                _forget(root, put)
        except OSError as error:
            raise CommandFailed(
                f"{error.filename} cannot be removed: {error.strerror}; then run this again"
            ) from None
    for name in idle:
        bridge.remove_idle(name)
    if put is not None and permission.PATH in put.entries:
        for line in keeping.take_back():
            say(line)
    if waiting:
        say(f"{waiting} releases wait in {_SPOOL}, where the plugin wrote them")


def _give_back(root: Root) -> None:
    """Give up this machine's lease, as far as it is this node's. Raises CommandFailed if its agent runs."""
    from node_agent.leasing.leaving import SomethingLeft, give_back

    try:
        done = give_back(root / NODE_JSON)
    except SomethingLeft as left:
        say(left.sentence)
    else:
        if done is not None:
            say(done)


def _bridges(root: Root, put: Manifest) -> list[str]:
    files = [root / entry.path for entry in put.entries.values() if _is_own_network(root, entry)]
    return [name for file in files for name in bridge.named_in(file)]


def _is_own_network(root: Root, entry: Entry) -> bool:
    found = digest_of(root / entry.path)
    return entry.kind is Kind.NETWORK and found is not None and entry.is_ours(found)


def _take_back(root: Root, entry: Entry) -> None:
    path = root / entry.path
    temporary(path).unlink(missing_ok=True)
    found = digest_of(path)
    if found is None:
        return
    if not entry.is_ours(found):
        say(f"{entry.path}: kept: somebody changed it")
        return
    path.unlink()
    sync_folder(path.parent)
    say(f"{entry.path}: taken back")


def _own_files(root: Root) -> list[Path]:
    return [root / f"{STATE_DIR}/{name}" for name in (*OWN_FILES, NODE_NAME_FILE)]


def _is_anything_kept(root: Root) -> bool:
    return any(path.exists() for path in (*_own_files(root), root / _SPOOL, root / _NETWORKS))


def _purge(root: Root) -> None:
    for path in _own_files(root):
        path.unlink(missing_ok=True)
    spool = root / _SPOOL
    for folder in (spool / "set-aside", spool, root / _NETWORKS):
        if folder.is_dir():
            for path in folder.iterdir():
                path.unlink()
            folder.rmdir()


def _forget(root: Root, put: Manifest) -> None:
    """Remove the manifest, then the folders that were created for it and are empty."""
    own = root / manifest.PATH
    temporary(own).unlink(missing_ok=True)
    own.unlink()
    sync_folder(own.parent)
    put.remove_folders(root)


def _waiting(root: Root) -> int:
    folder: Path = root / _SPOOL
    if not folder.is_dir():
        return 0
    return sum(path.suffix == ".json" and not path.name.startswith(".") for path in folder.iterdir())
