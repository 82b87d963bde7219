"""`ipamd-agent install`: check, write everything under temporary names, rename."""

from __future__ import annotations

from pathlib import Path

from node_agent.failure import Failure
from node_agent.installation import manifest
from node_agent.installation.manifest import Manifest
from node_agent.installation.network import others
from node_agent.installation.order import Order
from node_agent.installation.piece import Kind, Piece, digest_of
from node_agent.installation.root import Root
from node_agent.staging import Staging, sync_folder, temporary
from node_agent.text import say


def install(root: Root, order: Order) -> None:
    """Install what the order says on a node. Raises Failure, and then the node is as it was."""
    pieces = order.pieces()
    with root.locked():
        clear(root)
        before = (Manifest.read(root / manifest.PATH) or Manifest()).present(root)
        _refuse_foreign(root, pieces, before)
        _look_at_networks(root, pieces, before, hide_others=order.hide_others)
        # What somebody else put there and is just the same stays his: it is not ours to take back.
        ours = [piece for piece in pieces if before.owns(piece.path, root / piece.path)]
        changed = [piece for piece in ours if not _stands(root, piece, before)]
        if changed:
            _put(root, changed, before)
        _remove_replaced(root, pieces, before)
    for piece in pieces:
        say(f"{piece.path}: {'put there' if piece in changed else 'as it was'}")


def _refuse_foreign(root: Root, pieces: list[Piece], before: Manifest) -> None:
    for piece in pieces:
        found = root / piece.path
        if not before.owns(piece.path, found) and digest_of(found) != piece.digest:
            raise Failure(
                f"{found} exists, and ipamd-agent did not write it: move it away, or keep it "
                "and install elsewhere"
            )


def _look_at_networks(root: Root, pieces: list[Piece], before: Manifest, *, hide_others: bool) -> None:
    for piece in pieces:
        if piece.kind is not Kind.NETWORK:
            continue
        name = Path(piece.path).name
        foreign = others(root, piece, before)
        hidden = [other for other in foreign if other > name]
        if hidden and len(hidden) == len(foreign) and not hide_others:
            raise Failure(
                f"{piece.path} would hide {hidden[0]}, which serves pods by now: give it a name that comes "
                "later, or say --hide-others if ipamd is to serve new pods instead"
            )
        if len(hidden) < len(foreign):
            say(f"{foreign[0]} comes before {name}: containerd and CRI-O take the first and go on with that")


def _stands(root: Root, piece: Piece, before: Manifest) -> bool:
    """Whether a file is as it should be.

    A credential that the agent has renewed is newer than the given one.
    """
    path = root / piece.path
    found = digest_of(path)
    if piece.kind is Kind.CREDENTIAL and found is not None and piece.path in before.entries:
        return piece.digest in before.entries[piece.path].digests
    return found == piece.digest and path.stat().st_mode & 0o7777 == piece.mode


def _put(root: Root, changed: list[Piece], before: Manifest) -> None:
    """Write everything, then rename. The manifest is first: it must name every file that may exist."""
    staging = Staging()
    paths = [manifest.PATH, *(piece.path for piece in changed)]
    missing = list(dict.fromkeys(folder for path in paths for folder in _missing(root, path)))
    after = before.also(changed, missing, root)
    try:
        staging.make_folder((root / manifest.UNDER_WAY).parent)
        staging.write(root / manifest.UNDER_WAY, after.encode(), 0o644)
        staging.commit(root / manifest.UNDER_WAY)
        staging.write(root / manifest.PATH, after.encode(), 0o644)
        for piece in changed:
            staging.make_folder((root / piece.path).parent)
            staging.write(root / piece.path, piece.data, piece.mode)
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


def _remove_replaced(root: Root, pieces: list[Piece], before: Manifest) -> None:
    """Remove our network configuration of another name, now that the new one is there."""
    if not any(piece.kind is Kind.NETWORK for piece in pieces):
        return
    kept = {piece.path for piece in pieces}
    for entry in before.entries.values():
        if entry.kind is Kind.NETWORK and entry.path not in kept:
            (root / entry.path).unlink(missing_ok=True)
            sync_folder((root / entry.path).parent)
            say(f"{entry.path}: taken back")
