"""As whom and to whom the last good ADD of each network went, kept on the node for the DEL that lacks it.

One small file for each network, `networks/NAME.json` in stateDir, written only when it changes. If stateDir
is not the usual one, the usual one has it too: a DEL whose configuration was stripped knows no other.
"""

from __future__ import annotations

from cni_plugin import platform
from cni_plugin.failure import reason
from cni_plugin.files import make_folders, read_regular, replace
from cni_plugin.quoting import quote
from cni_plugin.reply import note
from cni_plugin.scanner import parse_object
from ipam_plugin.configuration import STATE_DIR
from ipam_plugin.node_name import FILE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ipam_plugin.configuration import Settings

_FOLDER = "networks"
_BYTES = 65536
_STATE_MODE, _OWN_MODE = 0o755, 0o700
_WRITABLE_BY_OTHERS = 0o022


def read(state_dir: str, network: str) -> dict[str, object]:
    """Give what was kept, with the keys of node.json; empty if nothing is, or somebody else wrote it."""
    try:
        held = read_regular(_path(state_dir, network), _BYTES)
        if held.owner != platform.effective_user() or held.mode & _WRITABLE_BY_OTHERS:
            return {}
        return parse_object(held.data)
    except (OSError, ValueError):
        return {}


def keep(settings: Settings, network: str) -> None:
    """Keep what an ADD used that has succeeded, and the node's name if it was found and not told.

    The container runs: what cannot be kept is told, and fails nothing.
    """
    own = settings.state_dir
    members = f'{{"cluster":{quote(settings.cluster)},"stateDir":{quote(own)},'
    if not settings.found_node:  # one that was found is found again
        members += f'"node":{quote(settings.node)},'
    data = (members + settings.destination.encode() + "}\n").encode()
    try:
        if settings.found_node and not settings.found_node.is_kept:
            make_folders(own, _STATE_MODE)
            replace(own, FILE, settings.node.encode() + b"\n")
        if _has(own, network, data):
            return
        _write(own, network, data)
    except OSError as error:
        note(f"what this ADD used cannot be kept in {own} for its DEL: {reason(error)}")
    if own != STATE_DIR:
        try:
            _write(STATE_DIR, network, data)
        except OSError:
            return  # who chose another folder may not be allowed this one; it serves a stripped DEL alone


def _has(state_dir: str, network: str, data: bytes) -> bool:
    try:
        return read_regular(_path(state_dir, network), _BYTES).data == data
    except (OSError, ValueError):
        return False


def _write(state_dir: str, network: str, data: bytes) -> None:
    make_folders(state_dir, _STATE_MODE)
    make_folders(f"{state_dir}/{_FOLDER}", _OWN_MODE)
    replace(f"{state_dir}/{_FOLDER}", f"{network}.json", data)


def _path(state_dir: str, network: str) -> str:
    return f"{state_dir}/{_FOLDER}/{network}.json"
