"""`ipamd-agent install`: check, write everything under temporary names, rename."""

from __future__ import annotations

from pathlib import Path

from node_agent.failure import CommandFailed
from node_agent.firewall import keeping, permission
from node_agent.installation import manifest
from node_agent.installation.installed_file import InstalledFile, Kind, digest_of
from node_agent.installation.manifest import Manifest
from node_agent.installation.network import others
from node_agent.installation.options import InstallOptions
from node_agent.installation.root import Root
from node_agent.staging import Staging, sync_folder, temporary
from node_agent.text import say


def install(root: Root, options: InstallOptions) -> None:
    """Install what the options say on a node. Raises CommandFailed, and then the node is as it was."""
    files = options.files(root)
    with root.locked():
        clear(root)
        before = (Manifest.read(root / manifest.PATH) or Manifest()).present(root)
        _refuse_foreign(root, files, before)
        _look_at_networks(root, files, before, hide_others=options.hide_others)
        # What somebody else put there and is just the same stays his: it is not ours to take back.
        ours = [file for file in files if before.owns(file.path, root / file.path)]
        changed = [file for file in ours if not _stands(root, file, before)]
        if changed:
            _put(root, changed, before)
        _remove_replaced(root, files, before)
    for file in files:
        say(f"{file.path}: {'put there' if file in changed else 'as it was'}")
    for line in _let_firewalls_accept(files, before):
        say(line)


def _let_firewalls_accept(files: list[InstalledFile], before: Manifest) -> list[str]:
    """Have the firewalls of this machine accept what is allowed, or no longer; what was done, in words."""
    for file in files:
        if file.path == permission.PATH:
            return keeping.allow(permission.decode(file.data))
    return keeping.take_back() if permission.PATH in before.entries else []


def _refuse_foreign(root: Root, files: list[InstalledFile], before: Manifest) -> None:
    for file in files:
        found = root / file.path
        if not before.owns(file.path, found) and digest_of(found) != file.digest:
            raise CommandFailed(
                f"{found} exists, and ipamd-agent did not write it: move it away, or keep it "
                "and install elsewhere"
            )


def _look_at_networks(root: Root, files: list[InstalledFile], before: Manifest, *, hide_others: bool) -> None:
    for file in files:
        if file.kind is not Kind.NETWORK:
            continue
        name = Path(file.path).name
        foreign = others(root, file, before)
        hidden = [other for other in foreign if other > name]
        if hidden and len(hidden) == len(foreign) and not hide_others:
            raise CommandFailed(
                f"{file.path} would hide {hidden[0]}, which serves pods by now: give it a name that comes "
                "later, or say --hide-others if ipamd is to serve new pods instead"
            )
        if len(hidden) < len(foreign):
            say(f"{foreign[0]} comes before {name}: containerd and CRI-O take the first and go on with that")


def _stands(root: Root, file: InstalledFile, before: Manifest) -> bool:
    """Whether a file is as it should be.

    A credential that the agent has renewed is newer than the given one.
    """
    path = root / file.path
    found = digest_of(path)
    if file.kind is Kind.CREDENTIAL and found is not None and file.path in before.entries:
        return file.digest in before.entries[file.path].digests
    return found == file.digest and path.stat().st_mode & 0o7777 == file.mode


def _put(root: Root, changed: list[InstalledFile], before: Manifest) -> None:
    """Write everything, then rename. The manifest is first: it must name every file that may exist."""
    staging = Staging()
    paths = [manifest.PATH, *(file.path for file in changed)]
    missing = list(dict.fromkeys(folder for path in paths for folder in _missing(root, path)))
    after = before.also(changed, missing, root)
    try:
        staging.make_folder((root / manifest.UNDER_WAY).parent)
        staging.write(root / manifest.UNDER_WAY, after.encode(), 0o644)
        staging.commit(root / manifest.UNDER_WAY)
        staging.write(root / manifest.PATH, after.encode(), 0o644)
        for file in changed:
            staging.make_folder((root / file.path).parent)
            staging.write(root / file.path, file.data, file.mode)
    except BaseException:
        (root / manifest.UNDER_WAY).unlink(missing_ok=True)
        staging.drop()
        raise
    for path in paths:
        staging.commit(root / path)
    (root / manifest.UNDER_WAY).unlink()


def _missing(root: Root, path: str) -> list[str]:
    """The folders above a file that must be created, the highest first, as paths on the node."""
    parts = path.split("/")[:-1]
    folders = ["/".join(parts[:count]) for count in range(2, len(parts) + 1)]
    return [folder for folder in folders if not (root / f"{folder}/.").is_dir()]


def clear(root: Root) -> bool:
    """Remove the unfinished files of a killed installation. Returns whether there was one."""
    under_way = Manifest.read(root / manifest.UNDER_WAY)
    temporary(root / manifest.UNDER_WAY).unlink(missing_ok=True)
    if under_way is None:
        return False
    for path in [manifest.PATH, *under_way.entries]:
        temporary(root / path).unlink(missing_ok=True)
    under_way.remove_folders(root)
    (root / manifest.UNDER_WAY).unlink()
    under_way.remove_folders(root)
    return True


def _remove_replaced(root: Root, files: list[InstalledFile], before: Manifest) -> None:
    """Remove what the new files replace: our network configuration of another name, a former permission."""
    kept = {file.path for file in files}
    has_network = any(file.kind is Kind.NETWORK for file in files)
    for entry in before.entries.values():
        is_replaced = (entry.kind is Kind.NETWORK and has_network) or entry.path == permission.PATH
        if is_replaced and entry.path not in kept:
            (root / entry.path).unlink(missing_ok=True)
            sync_folder((root / entry.path).parent)
            say(f"{entry.path}: taken back")
