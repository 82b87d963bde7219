"""The body of a plugin's call, turned into a request to the engine.

Each command has one function. Whatever the bytes are, it raises `CniError` and nothing else. ADD and STATUS
may be refused, so an unknown key is an error: if it were ignored, a slip could give a pod another address.
CHECK and GC look after containers that exist, and ignore unknown keys. DEL needs no more of the configuration
than the identity: an invalid configuration must not keep an address.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, TypeVar

from msgspec import Struct

from ipamd.cni import reading
from ipamd.cni.arguments import read_args, read_workload
from ipamd.cni.body import Body
from ipamd.cni.caller import Caller
from ipamd.cni.error import CniError, Code, invalid
from ipamd.cni.requested import Requested
from ipamd.cni.result import Results
from ipamd.cni.version import at_least
from ipamd.models.address import IPAddress
from ipamd.models.issued import Issued
from ipamd.models.request import AllocationRequest, PoolNames, Release

T = TypeVar("T")


class Add(Struct, frozen=True):
    """An ADD: what to ask of the engine, and how its configuration has it answered."""

    caller: Caller
    request: AllocationRequest
    results: Results
    ended: Issued | None = None
    """The DEL by which its node ended the container before, out of its lease, and has not yet reported."""


class Delete(Struct, frozen=True):
    """A DEL."""

    caller: Caller
    release: Release


class Check(Struct, frozen=True):
    """A CHECK. `addresses` are all of its prevResult, those of other plugins too."""

    caller: Caller
    addresses: tuple[IPAddress, ...]


class Collect(Struct, frozen=True):
    """A GC. `keep` has the container ID and interface of every live attachment."""

    caller: Caller
    keep: frozenset[tuple[str, str]]
    issued: Issued | None


class StatusScope(StrEnum):
    """What STATUS checks (`ipam.status` of the configuration)."""

    INSTALLATION = "installation"
    SERVICE = "service"
    CAPACITY = "capacity"


class Status(Struct, frozen=True):
    """A STATUS."""

    caller: Caller
    wanted: StatusScope
    pool_names: PoolNames


def read_add(raw: bytes) -> Add:
    """The body of `POST /v1/cni/add`."""
    return _reading(Body(raw), _add)


def read_del(raw: bytes) -> Delete:
    """The body of `POST /v1/cni/del`."""
    return _reading(Body(raw, closed=False, any_version=True), _del)


def read_check(raw: bytes) -> Check:
    """The body of `POST /v1/cni/check`."""
    return _reading(Body(raw, closed=False), _check)


def read_gc(raw: bytes) -> Collect:
    """The body of `POST /v1/cni/gc`."""
    return _reading(Body(raw, closed=False), _gc)


def read_status(raw: bytes) -> Status:
    """The body of `POST /v1/cni/status`."""
    return _reading(Body(raw), _status)


def _reading(body: Body, read: Callable[[Body], T]) -> T:
    try:
        return read(body)
    except CniError as error:
        error.version = body.version
        error.caller = body.identified
        raise


def _add(body: Body) -> Add:
    caller = body.caller("container_id", "netns", "ifname", "path")
    identity = caller.identity
    args = read_args(body.args)
    requested = Requested(body.config, args, identity.network, identity.ifname)
    workload = read_workload(args)
    request = AllocationRequest(
        holder=identity,
        pool_names=requested.pools(),
        requested=requested.addresses(),
        workload=workload,
        issued=body.issued("issued"),
        netns=body.netns(),
        timeout=body.timeout(),
        for_owner=requested.owner(identity.cluster, workload),
        prefix=requested.prefix(),
    )
    return Add(caller, request, body.config.results, body.issued("ended"))


def _del(body: Body) -> Delete:
    caller = body.caller("container_id", "ifname", "path")
    release = Release(
        digest=caller.identity.digest,
        node=caller.identity.node_key,
        issued=body.issued("issued"),
        delivered=body.issued("delivered"),
        undo=body.undo(),
        timeout=body.timeout(),
    )
    if release.undo and release.issued is None:
        raise invalid("issued", "an undo needs `issued` of the ADD that it undoes")
    return Delete(caller, release)


def _check(body: Body) -> Check:
    if not at_least(body.version, "0.4.0"):
        raise CniError(Code.INCOMPATIBLE_VERSION, "config version does not allow CHECK")
    caller = body.caller("container_id", "netns", "ifname", "path")
    previous = body.config.values.get("prevResult")
    if previous is None:
        raise invalid("prevResult", "is missing: CHECK needs it")
    return Check(caller, _addresses_of(reading.mapping(previous, "prevResult")))


def _gc(body: Body) -> Collect:
    if not at_least(body.version, "1.1.0"):
        raise CniError(Code.INCOMPATIBLE_VERSION, "config version does not allow GC")
    caller = body.caller("path")
    return Collect(caller, _attachments(body.config.values), body.issued("issued"))


def _status(body: Body) -> Status:
    if not at_least(body.version, "1.1.0"):
        raise CniError(Code.INCOMPATIBLE_VERSION, "config version does not allow STATUS")
    caller = body.caller("path")
    wanted = body.config.ipam.get("status", StatusScope.INSTALLATION)
    body.config.check()
    pool_names = Requested(body.config, {}, caller.identity.network, "").pools()
    return Status(caller, StatusScope(wanted), pool_names)


def _addresses_of(previous: Mapping[str, Any]) -> tuple[IPAddress, ...]:
    """The addresses of a result of any version."""
    found: list[IPAddress] = []
    for family in ("ip4", "ip6"):
        if previous.get(family) is not None:
            key = f"prevResult.{family}"
            entry = reading.mapping(previous[family], key)
            found.append(reading.address_of_interface(entry.get("ip"), f"{key}.ip"))
    for place, entry in enumerate(reading.listing(previous.get("ips"), "prevResult.ips")):
        key = f"prevResult.ips[{place}]"
        if not isinstance(entry, dict):
            raise reading.mistyped(key, "an object", entry)
        found.append(reading.address_of_interface(entry.get("address"), f"{key}.address"))
    return tuple(found)


def _attachments(config: Mapping[str, Any]) -> frozenset[tuple[str, str]]:
    """The live attachments, as the runtime lists them.

    The list is required: without it all would be freed.
    """
    key = "cni.dev/valid-attachments"
    if key not in config:
        key = "cni.dev/attachments" if "cni.dev/attachments" in config else key
    entries = config.get(key)
    if not isinstance(entries, list):
        raise reading.mistyped(key, "a list", entries)
    return frozenset(_attachment(entry, f"{key}[{place}]") for place, entry in enumerate(entries))


def _attachment(entry: object, key: str) -> tuple[str, str]:
    if not isinstance(entry, dict):
        raise reading.mistyped(key, "an object", entry)
    container_id, ifname = entry.get("containerID"), entry.get("ifname")
    if not isinstance(container_id, str):
        raise reading.mistyped(f"{key}.containerID", "a string", container_id)
    if not isinstance(ifname, str):
        raise reading.mistyped(f"{key}.ifname", "a string", ifname)
    return container_id, ifname
