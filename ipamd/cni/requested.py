"""Which addresses and pools a container asks for, and by which of the four ways it can say so.

It may come from the runtime (`runtimeConfig`), from the configuration (`args.cni`), from `CNI_ARGS` or from
an annotation of the pod. They are never merged: the first that is present counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from ipamd.cni import reading
from ipamd.cni.configuration import Configuration, read_pool_names
from ipamd.cni.error import CniError, Code, invalid, too_large
from ipamd.models.address import IPAddress
from ipamd.models.allocation import Workload
from ipamd.models.limits import LONGEST_NAME, MOST_ADDRESSES
from ipamd.models.request import PoolNames

ANNOTATIONS: Final = "io.kubernetes.cri.pod-annotations"
"""The capability by which a runtime hands on the annotations of a pod."""

ADDRESSES_ANNOTATION: Final = "ipamd.io/addresses"
POOLS_ANNOTATION: Final = "ipamd.io/pools"

FIRST_INTERFACE: Final = "eth0"
"""The interface of a pod's own network: what an annotation means that names no network."""

LONGEST_ARGS: Final = 4096

_WORKLOAD_ARGS: Final = ("K8S_POD_NAMESPACE", "K8S_POD_NAME", "K8S_POD_UID")


def read_args(value: object) -> Mapping[str, str]:
    """CNI_ARGS: `KEY=VALUE` pairs between semicolons; of a key that comes twice the last counts."""
    if value is None or value == "":
        return {}
    if not isinstance(value, str) or len(value) > LONGEST_ARGS or not value.isprintable():
        raise CniError(Code.BAD_ENVIRONMENT, f"env variables [CNI_ARGS] malformed: {reading.shown(value)}")
    pairs = [pair.partition("=") for pair in value.split(";") if pair]
    for key, equals, _ in pairs:
        if not (key and equals):
            raise CniError(
                Code.BAD_ENVIRONMENT,
                f"env variables [CNI_ARGS] malformed: {reading.shown(key)} is not KEY=VALUE",
            )
    return {key: value for key, _, value in pairs}


def read_workload(args: Mapping[str, str]) -> Workload:
    """The pod that the runtime names; empty values count as absent."""
    for key in _WORKLOAD_ARGS:
        if len(args.get(key, "")) > LONGEST_NAME:
            raise CniError(Code.BAD_ENVIRONMENT, f"env variables [CNI_ARGS] malformed: {key} is too long")
    namespace, name, uid = (args.get(key) or None for key in _WORKLOAD_ARGS)
    return Workload(namespace, name, uid)


class Requested:
    """What one container asks for, read from one call."""

    def __init__(self, config: Configuration, args: Mapping[str, str], network: str, ifname: str) -> None:
        self._runtime = config.runtime
        if self._runtime.get("ipRanges"):
            raise CniError(
                Code.UNSUPPORTED_FIELD,
                f"unsupported field runtimeConfig.ipRanges: {reading.shown(self._runtime['ipRanges'])}",
                "take the capability ipRanges out of the configuration, and name pools",
            )
        self._config = config
        self._args = args
        self._network = network
        self._ifname = ifname

    def addresses(self) -> tuple[IPAddress, ...]:
        """The addresses asked for, each with or without a prefix length; empty if none is."""
        for key, wanted in self._sources():
            if wanted:
                return _addresses(key, wanted)
        return ()

    def pools(self) -> PoolNames:
        """The pools asked for: the annotation's, else the configuration's."""
        key, value = self._annotation(POOLS_ANNOTATION)
        if not value:
            return self._config.pool_names
        if value.startswith("["):
            return read_pool_names(_json(key, value), key)
        return read_pool_names([_commas(value)], key)

    def _sources(self) -> Iterator[tuple[str, Sequence[Any]]]:
        yield "runtimeConfig.ips", reading.listing(self._runtime.get("ips"), "runtimeConfig.ips")
        arguments = reading.mapping(self._config.values.get("args"), "args")
        cni = reading.mapping(arguments.get("cni"), "args.cni")
        yield "args.cni.ips", reading.listing(cni.get("ips"), "args.cni.ips")
        yield "CNI_ARGS IP", _commas(self._args.get("IP", ""))
        key, value = self._annotation(ADDRESSES_ANNOTATION)
        if value.startswith("["):
            yield key, reading.listing(_json(key, value), key)
        else:
            yield key, _commas(value)

    def _annotation(self, name: str) -> tuple[str, str]:
        """An annotation with the key it was found under: this network's, or the plain one for eth0."""
        annotations = reading.mapping(self._runtime.get(ANNOTATIONS), f"runtimeConfig.{ANNOTATIONS}")
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


def _commas(value: str) -> list[str]:
    return [entry.strip() for entry in value.split(",")] if value else []


def _json(key: str, value: str) -> Any:
    try:
        return reading.parse_json(value)
    except ValueError as error:
        raise invalid(key, str(error)) from None


def _addresses(key: str, wanted: Sequence[Any]) -> tuple[IPAddress, ...]:
    if len(wanted) > MOST_ADDRESSES:
        raise too_large(f"{key}: asks for {len(wanted)} addresses, {MOST_ADDRESSES} at most")
    addresses: list[IPAddress] = []
    for place, value in enumerate(wanted):
        address = reading.address_of_interface(value, f"{key}[{place}]")
        if address in addresses:
            raise invalid(f"{key}[{place}]", f"{address} is asked for twice")
        addresses.append(address)
    return tuple(addresses)
