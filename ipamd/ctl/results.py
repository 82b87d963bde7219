"""What libcni keeps on a node of each attachment, whatever its IPAM: `/var/lib/cni/results`.

One file for each network, container and interface, `NETWORK-CONTAINER-IFNAME`, of the kind `cniCacheV1`: who,
and the result of the whole chain of plugins in the version that the network had. It is written in place, so
that a file may be half there; and it outlives a container whose node lost power.
"""

from __future__ import annotations

import base64
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ipamd.ctl.failure import CommandFailed, ExitCode
from ipamd.models.address import IPAddress, parse_address
from ipamd.models.limits import CNI_NAME, INTERFACE_NAME, LONGEST_INTERFACE, LONGEST_NAME, MOST_ADDRESSES
from ipamd.models.network_file import configuration_for_ipamd
from ipamd.models.strict_json import parse_configuration, parse_json

KIND: Final = "cniCacheV1"
LARGEST_FILE: Final = 4 << 20
_NAME: Final = re.compile(rf"(?=.{{1,{LONGEST_NAME}}}\Z){CNI_NAME}")
_INTERFACE: Final = re.compile(rf"(?=.{{1,{LONGEST_INTERFACE}}}\Z){INTERFACE_NAME}")
_WORKLOAD: Final = {"namespace": "K8S_POD_NAMESPACE", "name": "K8S_POD_NAME", "uid": "K8S_POD_UID"}


@dataclass(frozen=True, slots=True)
class Attachment:
    """One interface of a container as libcni wrote it down; `addresses` without those of loopback."""

    file: str
    container_id: str
    network: str
    ifname: str
    addresses: tuple[IPAddress, ...]
    workload: Mapping[str, str]
    ipam: Mapping[str, str]
    """The `cluster` and `node` that the network's configuration gives to ipamd's plugin, if it is that."""

    def body(self) -> dict[str, Any]:
        """The attachment as `POST /v1/import` takes it."""
        return {
            "container_id": self.container_id,
            "network": self.network,
            "ifname": self.ifname,
            "addresses": [str(address) for address in self.addresses],
            **self.workload,
        }


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A file that says nothing that can be used, and why."""

    file: str
    why: str


def read_results(folder: Path) -> Iterator[Attachment | Unreadable]:
    """All that a folder has, by file name; raises CommandFailed if the folder itself cannot be read."""
    try:
        files = sorted(folder.iterdir())
    except OSError as error:
        raise CommandFailed(f"cannot read {folder}: {error.strerror}", ExitCode.USAGE) from None
    for file in files:
        try:
            yield _attachment(file.name, _document(file))
        except OSError as error:
            yield Unreadable(file.name, f"cannot be read: {error.strerror}")
        except ValueError as error:
            yield Unreadable(file.name, str(error))


def _document(file: Path) -> Mapping[str, Any]:
    about = file.lstat()
    if not stat.S_ISREG(about.st_mode):  # reading a pipe would never end
        raise ValueError("is not a regular file")
    if about.st_size > LARGEST_FILE:
        raise ValueError(f"is larger than {LARGEST_FILE} bytes")
    try:
        document = parse_json(file.read_bytes())
    except ValueError:
        raise ValueError("is empty, half-written, or not JSON") from None
    if not isinstance(document, dict) or document.get("kind") != KIND:
        raise ValueError(f"is not of the kind {KIND}: it does not say whose result it is")
    return document


def _attachment(name: str, document: Mapping[str, Any]) -> Attachment:
    result = document.get("result")
    if not isinstance(result, dict):
        raise ValueError("holds no result")  # noqa: TRY004  # a file's contents, not an argument
    found = dict.fromkeys(_addresses(result))
    if len(found) > MOST_ADDRESSES:
        raise ValueError(f"has {len(found)} addresses, {MOST_ADDRESSES} at most")
    return Attachment(
        file=name,
        container_id=_text(document, "containerId", _NAME),
        network=_text(document, "networkName", _NAME),
        ifname=_text(document, "ifName", _INTERFACE),
        addresses=tuple(address for address in found if not address.is_loopback),
        workload=_workload(document.get("cniArgs")),
        ipam=_ipam(document.get("config")),
    )


def _text(document: Mapping[str, Any], key: str, pattern: re.Pattern[str]) -> str:
    value = document.get(key)
    if not isinstance(value, str) or pattern.fullmatch(value) is None or not value.isprintable():
        raise ValueError(f"does not say its {key}, or one that CNI does not allow")
    return value


def _addresses(result: Mapping[str, Any]) -> Iterator[IPAddress]:
    """The addresses of a result: up to 0.2.0 one for each family, then a list (CNI, "Result types")."""
    for family in ("ip4", "ip6"):
        if result.get(family) is not None:
            yield _address(result[family], "ip", family)
    entries = result.get("ips")
    if entries is None:
        return
    if not isinstance(entries, list):
        raise ValueError("result.ips is not a list")  # noqa: TRY004  # the same
    for place, entry in enumerate(entries):
        yield _address(entry, "address", f"ips[{place}]")


def _address(entry: object, key: str, place: str) -> IPAddress:
    text = entry.get(key) if isinstance(entry, dict) else None
    if not isinstance(text, str):
        raise ValueError(f"result.{place} has no {key}")  # noqa: TRY004  # the same
    try:
        return parse_address(text.partition("/")[0])
    except ValueError as error:
        raise ValueError(f"result.{place}: {error}") from None


def _workload(arguments: object) -> dict[str, str]:
    """The pod, as the runtime named it; empty values count as absent."""
    pairs = arguments if isinstance(arguments, list) else []
    given = {
        pair[0]: pair[1]
        for pair in pairs
        if isinstance(pair, list) and len(pair) == 2 and all(isinstance(each, str) for each in pair)
    }
    named = {field: given[key] for field, key in _WORKLOAD.items() if given.get(key)}
    for field, value in named.items():
        if len(value) > LONGEST_NAME or not value.isprintable():
            raise ValueError(f"has a {field} that nothing is called")
    return named


def _ipam(config: object) -> dict[str, str]:
    """Whom ipamd's plugin speaks for in this network, if the configuration says so; else nothing."""
    try:
        network = (
            parse_configuration(base64.b64decode(config, validate=True)) if isinstance(config, str) else None
        )
        ipam = configuration_for_ipamd(network)["ipam"]
    except ValueError:  # NotOurs among them: another plugin's container is taken over too
        return {}
    return {key: ipam[key] for key in ("cluster", "node") if isinstance(ipam.get(key), str)}
