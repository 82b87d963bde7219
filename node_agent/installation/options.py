"""What `install` is asked to do, and the files for it."""

from __future__ import annotations

import json
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ipam_plugin import destination, node_name
from ipam_plugin.credentials import is_token
from node_agent.failure import CommandFailed, ExitCode
from node_agent.firewall import permission
from node_agent.installation import host_managers
from node_agent.installation.executables import executables
from node_agent.installation.installed_file import InstalledFile, Kind, read_input
from node_agent.installation.network import network, own_plugins
from node_agent.installation.root import Root
from node_agent.node import AGENT, SERVICE, STATE_DIR

CA: Final = "/etc/ipamd/ca.pem"
CERTIFICATE: Final = "/etc/ipamd/node.pem"
KEY: Final = "/etc/ipamd/node.key"
NODE_JSON: Final = "/etc/ipamd/node.json"
TOKEN: Final = f"{STATE_DIR}/token"
JOIN_TOKEN: Final = f"{STATE_DIR}/join-token"
_LARGEST_TOKEN: Final = 1024
_LARGEST_PEM: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallOptions:
    """The flags of `install`. Folders are paths on the node; files are on this machine."""

    executables: Path
    architecture: str
    bin_dir: str
    endpoints: tuple[str, ...]
    cluster: str | None
    node: str | None
    ca: Path | None
    certificate: Path | None
    key: Path | None
    token: Path | None
    join_token: Path | None
    leases: int | None
    conflist: Path | None
    conflist_dir: str
    hide_others: bool
    allow_forwarding: bool

    def files(self, root: Root) -> list[InstalledFile]:
        """The files for a node, in the order of installation. Raises CommandFailed if they could not work."""
        files = executables(self.executables, self.architecture, _absolute("--bin-dir", self.bin_dir))
        values: dict[str, object] = {"endpoint": [AGENT, *(self.endpoints or (SERVICE,))]}
        for name, key in ((self.cluster, "cluster"), (self.node, "node")):
            if name is not None and not node_name.is_name(name):
                raise CommandFailed(
                    f"--{key} {name!r} is not a name: write 1 to 253 bytes without blanks and control "
                    "characters",
                    ExitCode.USAGE,
                )
            if name is not None:
                values[key] = name
        if self.leases is not None:
            values["leases"] = {"max": self.leases}
        for flag, file, path, mode, key in (
            ("--ca-file", self.ca, CA, 0o644, "caFile"),
            ("--cert-file", self.certificate, CERTIFICATE, 0o644, "certFile"),
            ("--key-file", self.key, KEY, 0o600, "keyFile"),
        ):
            if file is not None:
                values[key] = path
                files.append(InstalledFile(path, _pem(flag, file), mode, Kind.CONFIGURATION))
        for flag, file, path in (
            ("--token-file", self.token, TOKEN),
            ("--join-token-file", self.join_token, JOIN_TOKEN),
        ):
            if file is not None:
                files.append(InstalledFile(path, _token(flag, file), 0o600, Kind.CREDENTIAL))
        files.append(InstalledFile(NODE_JSON, self._node_json(values), 0o644, Kind.CONFIGURATION))
        networks = []
        if self.conflist is not None:
            networks.append(network(self.conflist, _absolute("--conflist-dir", self.conflist_dir)))
        plugins = [plugin for file in networks for plugin in own_plugins(json.loads(file.data))]
        if self.allow_forwarding:
            names = permission.interfaces(plugins)
            files.append(InstalledFile(permission.PATH, permission.encode(names), 0o644, Kind.CONFIGURATION))
        return [*files, *host_managers.files(root, plugins), *networks]

    def _node_json(self, values: dict[str, object]) -> bytes:
        try:
            # The agent fetches the token: so it must not travel in the open, whether it is there or not.
            destination.read(values, [], TOKEN)
        except destination.Unusable as error:
            flags = {"endpoint": "--endpoint", "caFile": "--ca-file", "certFile": "--cert-file"}
            raise CommandFailed(f"{flags.get(error.key, '--key-file')}: {error}", ExitCode.USAGE) from None
        return json.dumps(values, indent=2).encode() + b"\n"


def _absolute(flag: str, path: str) -> str:
    if not path.startswith("/"):
        raise CommandFailed(f"{flag} {path} must be an absolute path on the node", ExitCode.USAGE)
    return path


def _token(flag: str, path: Path) -> bytes:
    text = read_input(flag, path, _LARGEST_TOKEN).decode("ascii", "replace").strip("\n")
    if not is_token(text):
        raise CommandFailed(
            f"{flag} {path} holds no token: write one line, `ipamd_` and 43 letters", ExitCode.USAGE
        )
    return f"{text}\n".encode()


def _pem(flag: str, path: Path) -> bytes:
    data = read_input(flag, path, _LARGEST_PEM)
    if b"-----BEGIN " not in data:
        raise CommandFailed(f"{flag} {path} holds no PEM: is it the right file?", ExitCode.USAGE)
    if flag == "--ca-file":
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(
                cadata=data.decode("ascii", "replace")
            )
        except ssl.SSLError:
            raise CommandFailed(
                f"{flag} {path} holds no readable certificate: is it the right file?", ExitCode.USAGE
            ) from None
    return data
