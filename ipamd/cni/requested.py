"""Which addresses and pools a container asks for, and by which of the four ways it can say so.

It may come from the runtime (`runtimeConfig`), from the configuration (`args.cni`), from `CNI_ARGS` or from
an annotation of the pod. They are never merged: the first that is present counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from ipamd.cni import reading
from ipamd.cni.arguments import ADDRESSES
from ipamd.cni.configuration import Configuration, read_pool_names
from ipamd.cni.error import CniError, Code, invalid, too_large
from ipamd.models.address import IPAddress
from ipamd.models.limits import CNI_NAME, MOST_ADDRESSES
from ipamd.models.nearest import nearest
from ipamd.models.request import PoolNames
from ipamd.models.strict_json import parse_json

ANNOTATIONS: Final = "io.kubernetes.cri.pod-annotations"
"""The capability by which a runtime hands on the annotations of a pod."""

ADDRESSES_ANNOTATION: Final = "ipamd.io/addresses"
POOLS_ANNOTATION: Final = "ipamd.io/pools"

FIRST_INTERFACE: Final = "eth0"
"""The interface of a pod's own network: what an annotation means that names no network."""

_OWN: Final = "ipamd.io/"
_ANNOTATIONS: Final = (ADDRESSES_ANNOTATION, POOLS_ANNOTATION)
_NETWORK: Final = re.compile(CNI_NAME)


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
        self._annotations = reading.mapping(self._runtime.get(ANNOTATIONS), f"runtimeConfig.{ANNOTATIONS}")
        _check_annotations(self._annotations)
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
        return read_pool_names(_listed(key, value), key) if value else self._config.pool_names

    def _sources(self) -> Iterator[tuple[str, Sequence[Any]]]:
        yield "runtimeConfig.ips", reading.listing(self._runtime.get("ips"), "runtimeConfig.ips")
        arguments = reading.mapping(self._config.values.get("args"), "args")
        cni = reading.mapping(arguments.get("cni"), "args.cni")
        yield "args.cni.ips", reading.listing(cni.get("ips"), "args.cni.ips")
        yield "CNI_ARGS IP", _commas(self._args.get(ADDRESSES, ""))
        key, value = self._annotation(ADDRESSES_ANNOTATION)
        yield key, _listed(key, value)

    def _annotation(self, name: str) -> tuple[str, str]:
        """An annotation with the key it was found under: this network's, or the plain one for eth0."""
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


def _check_annotations(annotations: Mapping[str, Any]) -> None:
    """Raise for an annotation under our prefix that nobody reads."""
    for key in annotations:
        if key[: len(_OWN)].lower() != _OWN:
            continue
        word, dot, network = key[len(_OWN) :].partition(".")
        if _OWN + word in _ANNOTATIONS and key.startswith(_OWN) and (not dot or _NETWORK.fullmatch(network)):
            continue
        near = nearest(_OWN + word, _ANNOTATIONS)
        hint = f"did you mean {near}{dot}{network}?" if near else f"known are {', '.join(_ANNOTATIONS)}"
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
        raise too_large(f"{key}: asks for {len(wanted)} addresses, {MOST_ADDRESSES} at most")
    addresses: list[IPAddress] = []
    for place, value in enumerate(wanted):
        address = reading.address_of_interface(value, f"{key}[{place}]")
        if address in addresses:
            raise invalid(f"{key}[{place}]", f"{address} is asked for twice")
        addresses.append(address)
    return tuple(addresses)
