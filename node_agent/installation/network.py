"""The network configuration that a runtime reads, and those of others beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from cni_plugin.failure import Failure
from cni_plugin.scanner import NotJson, parse_object
from ipam_plugin import keys
from ipam_plugin.node_json import NODE_KEYS
from node_agent.failure import CommandFailed, ExitCode
from node_agent.installation.installed_file import InstalledFile, Kind, read_input
from node_agent.installation.manifest import Manifest
from node_agent.installation.root import Root

PLUGIN: Final = "ipamd-ipam"
EXTENSIONS: Final = (".conf", ".conflist", ".json")
"""The extensions that ConfFiles of libcni looks for, and so every runtime."""
_LARGEST: Final = 1 << 20


def network(file: Path, folder: str) -> InstalledFile:
    """The file for a network configuration. Raises CommandFailed if every ADD with it would fail."""
    data = read_input("--conflist", file, _LARGEST)
    if file.suffix not in EXTENSIONS:
        raise CommandFailed(
            f"--conflist {file} must end in .conflist: else no runtime reads it", ExitCode.USAGE
        )
    try:
        value = parse_object(data)
    except NotJson as error:
        raise CommandFailed(f"--conflist {file} is not JSON: {error}", ExitCode.USAGE) from None
    plugins = own_plugins(value)
    if not plugins:
        raise CommandFailed(
            f"--conflist {file} has no plugin with ipam.type {PLUGIN}: add it", ExitCode.USAGE
        )
    for plugin in plugins:
        for key in NODE_KEYS:
            if key in plugin["ipam"]:
                raise CommandFailed(
                    f"--conflist {file} has ipam.{key}, which may only be in node.json: remove it",
                    ExitCode.USAGE,
                )
        try:
            keys.check_section(plugin["ipam"])
        except Failure as failure:
            raise CommandFailed(f"--conflist {file}: {failure.msg}", ExitCode.USAGE) from None
    return InstalledFile(f"{folder.rstrip('/')}/{file.name}", data, 0o644, Kind.NETWORK)


def others(root: Root, file: InstalledFile, ours: Manifest) -> list[str]:
    """The network configurations beside it that are not ours, in the order of the runtimes."""
    folder = (root / file.path).parent
    try:
        names = sorted(path.name for path in folder.iterdir() if path.suffix in EXTENSIONS)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise CommandFailed(f"{folder} cannot be read: {error.strerror}") from None
    before = file.path.rpartition("/")[0]
    return [name for name in names if f"{before}/{name}" not in ours.entries]


def own_plugins(value: Any) -> list[dict[str, Any]]:
    """The plugins of a network configuration that get their addresses from ipamd."""
    plugins = value.get("plugins", [value]) if isinstance(value, dict) else []
    return [plugin for plugin in plugins if _is_own(plugin)] if isinstance(plugins, list) else []


def _is_own(plugin: Any) -> bool:
    section = plugin.get("ipam") if isinstance(plugin, dict) else None
    return isinstance(section, dict) and section.get("type") == PLUGIN
