"""Which addresses, prefix and pools a container asks for, and for which owner.

A request stands in `runtimeConfig`, in `args.cni` of the configuration, in `CNI_ARGS` or in an annotation of
the pod. The first that is present counts; they are never merged.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from ipamd.cni import reading
from ipamd.cni.arguments import ADDRESSES
from ipamd.cni.configuration import Configuration, read_pool_names
from ipamd.cni.error import CniError, Code, invalid, too_large
from ipamd.models.address import MAX_LENGTH, IPAddress
from ipamd.models.allocation import Workload
from ipamd.models.identity import OWNER_NAMES, Owner, is_owner_name, owner_in
from ipamd.models.limits import CNI_NAME, MOST_ADDRESSES
from ipamd.models.nearest import nearest
from ipamd.models.request import PoolNames, PrefixRequest
from ipamd.models.strict_json import parse_json

ANNOTATIONS: Final = "io.kubernetes.cri.pod-annotations"
"""With this capability a runtime passes on the annotations of a pod."""

ADDRESSES_ANNOTATION: Final = "ipamd.io/addresses"
POOLS_ANNOTATION: Final = "ipamd.io/pools"
OWNER_ANNOTATION: Final = "ipamd.io/owner"
PREFIX_ANNOTATION: Final = "ipamd.io/prefix"

POD_NAME: Final = "$(POD_NAME)"
"""In an owner's name: the name of the pod. The pods of a StatefulSet have the annotations of one template."""

FIRST_INTERFACE: Final = "eth0"
"""The interface of a pod's main network. An annotation without a network's name is for it."""

_OWN: Final = "ipamd.io/"
_ANNOTATIONS: Final = (ADDRESSES_ANNOTATION, POOLS_ANNOTATION, OWNER_ANNOTATION, PREFIX_ANNOTATION)
_NETWORK: Final = re.compile(CNI_NAME)


class Requested:
    """What a container asks for in one call."""

    _runtime: Mapping[str, Any] = {}
    _annotations: Mapping[str, Any] = {}
    _cni: Mapping[str, Any] = {}

    def __init__(self, config: Configuration, args: Mapping[str, str], network: str, ifname: str) -> None:
        self._config = config
        self._args = args
        self._network = network
        self._ifname = ifname
        if config.asks_for_containers:
            self._look_into(config)

    def _look_into(self, config: Configuration) -> None:
        """Find where the configuration asks; raise for what nobody would read."""
        self._runtime = config.runtime
        if self._runtime.get("ipRanges"):
            raise CniError(
                Code.UNSUPPORTED_FIELD,
                f"unsupported field runtimeConfig.ipRanges: {reading.shown(self._runtime['ipRanges'])}",
                "remove the capability ipRanges from the configuration, and name pools",
            )
        self._annotations = reading.mapping(self._runtime.get(ANNOTATIONS), f"runtimeConfig.{ANNOTATIONS}")
        _check_annotations(self._annotations)
        arguments = reading.mapping(config.values.get("args"), "args")
        self._cni = reading.mapping(arguments.get("cni"), "args.cni")

    def addresses(self) -> tuple[IPAddress, ...]:
        """The requested addresses, each with or without a prefix length. Empty if there is none."""
        if not (self._config.asks_for_containers or ADDRESSES in self._args):
            return ()
        for key, wanted in self._sources():
            if wanted:
                return _addresses(key, wanted)
        return ()

    def pools(self) -> PoolNames:
        """The requested pools: from the annotation, else from the configuration."""
        if not self._annotations:
            return self._config.pool_names
        key, value = self._annotation(POOLS_ANNOTATION)
        return read_pool_names(_listed(key, value), key) if value else self._config.pool_names

    def owner(self, cluster: str, workload: Workload) -> Owner | None:
        """The owner whose addresses the container asks for, in the namespace of its workload."""
        if not (self._cni or self._annotations):
            return None
        given = self._cni.get("owner")
        key = "args.cni.owner"
        if given is None:
            key, given = self._annotation(OWNER_ANNOTATION)
        if not given:
            return None
        if isinstance(given, str) and POD_NAME in given:
            if workload.name is None:
                raise invalid(key, f"{given} is of the pod's name, and CNI_ARGS have no K8S_POD_NAME")
            given = given.replace(POD_NAME, workload.name)
        if not isinstance(given, str) or not is_owner_name(given):
            raise invalid(key, f"{reading.shown(given)} is not a name of an owner: {OWNER_NAMES}")
        if workload.namespace is None:
            raise invalid(
                key, f"owner {given} is of the workload's namespace, and CNI_ARGS have no K8S_POD_NAMESPACE"
            )
        return owner_in(cluster, workload.namespace, given)

    def prefix(self) -> PrefixRequest | None:
        """The prefix that the container asks for beside its addresses: a length, maybe of a certain pool."""
        if not (self._cni or self._annotations):
            return None
        given = self._cni.get("prefix")
        key = "args.cni.prefix"
        if given is None:
            key, given = self._annotation(PREFIX_ANNOTATION)
        return None if given == "" else _prefix(key, given)

    def _sources(self) -> Iterator[tuple[str, Sequence[Any]]]:
        yield "runtimeConfig.ips", reading.listing(self._runtime.get("ips"), "runtimeConfig.ips")
        yield "args.cni.ips", reading.listing(self._cni.get("ips"), "args.cni.ips")
        yield "CNI_ARGS IP", _commas(self._args.get(ADDRESSES, ""))
        key, value = self._annotation(ADDRESSES_ANNOTATION)
        yield key, _listed(key, value)

    def _annotation(self, name: str) -> tuple[str, str]:
        """The key and value of an annotation: the one for this network, or for eth0 the plain one."""
        annotations = self._annotations
        if not annotations:
            return f"annotation {name}", ""
        key = f"{name}.{self._network}"
        if key not in annotations and self._ifname == FIRST_INTERFACE:
            key = name
        value = annotations.get(key)
        if value is None:
            return f"annotation {key}", ""
        if not isinstance(value, str):
            raise reading.mistyped(f"annotation {key}", "a string", value)
        return f"annotation {key}", value.strip()


def _prefix(key: str, given: object) -> PrefixRequest:
    """`28`, `/28`, or `POOL/28`."""
    written = str(given) if isinstance(given, int) and not isinstance(given, bool) else given
    pool, _, length = written.rpartition("/") if isinstance(written, str) else ("", "", "")
    plain = length.isascii() and length.isdigit() and len(length) <= 3 and length[:1] != "0"
    if not plain or int(length) >= MAX_LENGTH[6]:
        shown = reading.shown(given)
        raise invalid(key, f"{shown} is not the length of a prefix: write one such as 28, or POOL/28")
    return PrefixRequest(int(length), (reading.pool_name(pool, key),) if pool else ())


def _check_annotations(annotations: Mapping[str, Any]) -> None:
    """Raise for an annotation under our prefix that nobody reads."""
    for key in annotations:
        if key[: len(_OWN)].lower() != _OWN:
            continue
        word, dot, network = key[len(_OWN) :].partition(".")
        if _OWN + word in _ANNOTATIONS and key.startswith(_OWN) and (not dot or _NETWORK.fullmatch(network)):
            continue
        near = nearest(_OWN + word, _ANNOTATIONS)
        hint = f"did you mean {near}{dot}{network}?" if near else f"known: {', '.join(_ANNOTATIONS)}"
        raise CniError(
            Code.UNSUPPORTED_FIELD,
            f"unsupported field annotation {reading.shown(key)}: {reading.shown(annotations[key])}; {hint}",
        )


def _listed(key: str, value: str) -> Sequence[Any]:
    """An annotation's list: a JSON list, or words between commas. Each entry stands for an address."""
    if not value.startswith("["):
        return _commas(value)
    try:
        return reading.listing(parse_json(value), key)
    except ValueError as error:
        raise invalid(key, str(error)) from None


def _commas(value: str) -> list[str]:
    return [entry.strip() for entry in value.split(",")] if value else []


def _addresses(key: str, wanted: Sequence[Any]) -> tuple[IPAddress, ...]:
    if len(wanted) > MOST_ADDRESSES:
        raise too_large(f"{key}: asks for {len(wanted)} addresses; at most {MOST_ADDRESSES} are allowed")
    addresses: list[IPAddress] = []
    for place, value in enumerate(wanted):
        address = reading.address_of_interface(value, f"{key}[{place}]")
        if address in addresses:
            raise invalid(f"{key}[{place}]", f"{address} is requested twice")
        addresses.append(address)
    return tuple(addresses)
