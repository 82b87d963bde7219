"""What lives on this node by its own records: the main plugin's links, and the results that runtimes keep.

A runtime keeps the result of each ADD (libcni's folder), also of containers that are long gone. So a result
counts if the network namespace that it names lives. It has no word of prefixes: ipamd-ipam keeps those.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Iterator, Mapping, Set
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
from msgspec import Struct, structs

from ipam_plugin.prefixes import FOLDER
from node_agent.watching.dead import Held
from veth_plugin.result import PREFIXES

RESULTS: Final = Path("/var/lib/cni/results")
_LARGEST: Final = 1 << 20
_OURS: Final = ("ipamd-ipam", "ipamd-veth")
_LONGEST_ID: Final = 80
"""A link's name for its container is cut off here."""


class Living(Struct, frozen=True, omit_defaults=True):
    """An interface of a container that lives."""

    network: str
    container_id: str
    ifname: str
    addresses: list[str]
    netns: tuple[int, int] | None = None
    namespace: str | None = None
    name: str | None = None
    uid: str | None = None
    prefix: str | None = None

    @property
    def key(self) -> tuple[str, str, str]:
        """What it is known by."""
        return self.network, self.container_id, self.ifname


class Linked(Struct, frozen=True):
    """What the host side of a link says: whose it is, and the addresses."""

    owner: str
    addresses: list[str]


class _Cached(Struct):
    containerId: str  # noqa: N815 - libcni's names
    networkName: str  # noqa: N815
    ifName: str  # noqa: N815
    config: str
    result: dict[str, Any]
    cniArgs: list[list[str]] = []  # noqa: N815


class _Record(Struct):
    """What ipamd-ipam keeps of a container with a prefix; its file's name begins with the network's."""

    container_id: str
    ifname: str
    result: dict[str, Any]
    netns_id: tuple[int, int] | None = None


Key = tuple[str, str, str]
T = TypeVar("T")
_CACHED: Final = msgspec.json.Decoder(_Cached)
_RECORD: Final = msgspec.json.Decoder(_Record)


def unknown(
    known: Iterable[Held],
    linked: Iterable[Linked],
    inodes: Set[int],
    folder: Path | None = None,
    prefixes: Path | None = None,
) -> list[Living]:
    """What lives and is not known to ipamd. `inodes` are those of the namespaces that live.

    `folder` is where the runtime keeps results, and `prefixes` where the plugin keeps its own; None is where
    libcni and the plugin do.
    """
    told = {(row.network, row.container_id, row.ifname) for row in known}
    found = {one.key: one for one in _of_links(linked) if one.key not in told}
    for path in _results(folder or on_host(RESULTS), told):
        one = _of_result(path, set(found), inodes)
        if one is not None and one.key not in told:
            found[one.key] = one  # it says more than the link does
    for path in _results(prefixes or on_host(Path(FOLDER)), told):
        one = _of_record(path, found, inodes)
        if one is not None and one.key not in told:
            found[one.key] = one
    return list(found.values())


def on_host(path: Path) -> Path:
    """A path as the machine's first process sees it, if this one may look there: the agent may be a pod."""
    seen = Path(f"/proc/1/root{path}")
    try:
        return seen if seen.exists() else path
    except OSError:
        return path


def _results(folder: Path, told: Set[tuple[str, str, str]]) -> list[Path]:
    """The results in a folder but for those of interfaces that are known: their names are made of these."""
    names = {"-".join(key) for key in told}
    try:
        return [path for path in sorted(folder.iterdir()) if path.name not in names]
    except OSError:
        return []


def _of_links(linked: Iterable[Linked]) -> Iterator[Living]:
    """A pair ends with the namespace of its container: whoever has a host side lives."""
    for one in linked:
        network, container_id, ifname = one.owner.split("/")
        if one.addresses and len(container_id) < _LONGEST_ID:
            yield Living(network, container_id, ifname, one.addresses)


def _of_record(path: Path, found: Mapping[Key, Living], inodes: Set[int]) -> Living | None:
    """What is known of an interface with its prefix, if it lives."""
    record = _read(path, _RECORD)
    prefix = _prefix(record.result) if record is not None else None
    if record is None or prefix is None:
        return None
    key = (
        path.name.removesuffix(f"-{record.container_id}-{record.ifname}"),
        record.container_id,
        record.ifname,
    )
    if key in found:
        return structs.replace(found[key], prefix=prefix)
    addresses = _addresses(record.result)
    if not addresses or record.netns_id is None or record.netns_id[1] not in inodes:
        return None
    return Living(*key, addresses, record.netns_id, prefix=prefix)


def _of_result(path: Path, linked: Set[tuple[str, str, str]], inodes: Set[int]) -> Living | None:
    cached = _read(path, _CACHED)
    if cached is None or not _is_ours(cached.config):
        return None
    netns = _namespace(cached.result)
    addresses = _addresses(cached.result)
    key = (cached.networkName, cached.containerId, cached.ifName)
    if not addresses or not (key in linked or (netns is not None and netns[1] in inodes)):
        return None
    said = dict(pair for pair in cached.cniArgs if len(pair) == 2)
    namespace, name, uid = (said.get(f"K8S_POD_{part}") for part in ("NAMESPACE", "NAME", "UID"))
    return Living(*key, addresses, netns, namespace, name, uid)


def _read(path: Path, decoder: msgspec.json.Decoder[T]) -> T | None:
    """What a file of the folder says; None of one that is no result, or is being written."""
    try:
        if not path.is_file() or path.stat().st_size > _LARGEST:
            return None
        return decoder.decode(path.read_bytes())
    except (OSError, ValueError):
        return None


def _is_ours(config: str) -> bool:
    """Whether ipamd gave the addresses of a network."""
    try:
        document = msgspec.json.decode(base64.b64decode(config))
    except (binascii.Error, ValueError):
        return False
    plugins = document.get("plugins", [document]) if isinstance(document, dict) else []
    return any(_names_ours(plugin) for plugin in plugins if isinstance(plugin, dict))


def _names_ours(plugin: dict[str, Any]) -> bool:
    ipam = plugin.get("ipam")
    types = (
        plugin.get("type") if ipam is None else None,
        ipam.get("type") if isinstance(ipam, dict) else None,
    )
    return any(each in _OURS for each in types)


def _prefix(result: dict[str, Any]) -> str | None:
    """The prefix that a result names: an ADD gives one at most."""
    told = result.get(PREFIXES)
    first = told[0] if isinstance(told, list) and told else None
    return first if isinstance(first, str) else None


def _addresses(result: dict[str, Any]) -> list[str]:
    ips = result.get("ips")
    given = [each.get("address") for each in ips if isinstance(each, dict)] if isinstance(ips, list) else []
    return [each.partition("/")[0] for each in given if isinstance(each, str)]


def _namespace(result: dict[str, Any]) -> tuple[int, int] | None:
    """Device and inode of the namespace that a result names, if its file is there."""
    interfaces = result.get("interfaces")
    for one in interfaces if isinstance(interfaces, list) else ():
        sandbox = one.get("sandbox") if isinstance(one, dict) else None
        if isinstance(sandbox, str) and sandbox:
            try:
                found = on_host(Path(sandbox)).stat()
            except OSError:
                return None
            return found.st_dev, found.st_ino
    return None
