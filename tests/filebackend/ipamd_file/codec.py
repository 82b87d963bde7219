"""Values to JSON and back. What JSON has no word for becomes an object of one key, the name of its class."""

from __future__ import annotations

import json
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from enum import Enum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Any, Final

from msgspec import Struct

from ipamd.backends.interface import RememberedRelease
from ipamd.models.address import AddressRange
from ipamd.models.allocation import Allocation, Ending, Idempotency, NetworkNamespace, SeatPosition, Workload
from ipamd.models.block import Block
from ipamd.models.census import Census, Conflict, Suspicion
from ipamd.models.change_log import LogEntry, LogKind
from ipamd.models.change_request import ChangeRequest, RequestKind, RequestState
from ipamd.models.former_address import FormerAddress
from ipamd.models.hold import Hold, HoldState
from ipamd.models.identity import Identity, Owner
from ipamd.models.issued import CallOrder
from ipamd.models.lease import Lease, Seat, SeatKey
from ipamd.models.node import Boot, Node, NodeKey
from ipamd.models.pod_network import (
    Announced,
    AnnouncedKind,
    NetworkPosition,
    PodNetwork,
    PodNetworkMode,
    Published,
    Underlay,
)
from ipamd.models.pool import Affinity, Dns, Pool, PoolState, Route, Selectors
from ipamd.models.quota import Quota, Tally
from ipamd.models.reservation import Reservation
from ipamd.models.restoration import Restoration
from ipamd.models.token import Role, Token
from ipamd.models.waiter import Waiter

OF_FIELDS: Final = (
    *(Allocation, Block, RememberedRelease, Pool, Reservation, Node, Token),
    *(Identity, Owner, NodeKey, CallOrder, Boot, Workload, NetworkNamespace, Idempotency),
    *(AddressRange, Route, Dns, Selectors),
    *(PodNetwork, Published, Announced, NetworkPosition),
    LogEntry,
    ChangeRequest,
    *(Lease, Seat, SeatKey, SeatPosition),
    *(Census, Suspicion, Conflict, Restoration, FormerAddress),
    *(Quota, Tally, Hold),
    Waiter,
)
OF_TEXT: Final = (
    *(IPv4Address, IPv6Address, IPv4Network, IPv6Network, Ending, PoolState, Affinity, Role),
    *(AnnouncedKind, PodNetworkMode, Underlay, LogKind, RequestKind, RequestState, HoldState),
)
CLASSES: Final[Mapping[str, Any]] = {kind.__name__: kind for kind in (*OF_FIELDS, *OF_TEXT)}


def dumped(value: object) -> str:
    """A value as one line of ASCII."""
    return json.dumps(_encoded(value), separators=(",", ":"))


def loaded(line: bytes) -> Any:
    """The value of such a line; raises ValueError if it is none."""
    return _decoded(json.loads(line))


def _encoded(value: Any) -> Any:
    kind = type(value)
    if value is None or kind in (bool, int, str):
        return value
    if kind in OF_FIELDS:
        return {kind.__name__: {name: _encoded(getattr(value, name)) for name in _fields_of(value)}}
    if kind in OF_TEXT:
        return {kind.__name__: value.value if isinstance(value, Enum) else str(value)}
    if isinstance(value, (tuple, list)):
        return [_encoded(each) for each in value]
    if isinstance(value, Mapping):
        return {"mapping": [[_encoded(key), _encoded(each)] for key, each in value.items()]}
    if isinstance(value, array):
        return {"array": value.tolist()}
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    raise TypeError(f"a {kind.__name__} is not kept: {value!r}")


def _fields_of(value: Any) -> Sequence[str]:
    if isinstance(value, Struct):
        return value.__struct_fields__
    return [field.name for field in fields(value)] if is_dataclass(value) else value._fields


def _decoded(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(map(_decoded, value))
    if not isinstance(value, dict):
        return value
    [(name, content)] = value.items()
    match name:
        case "mapping":
            return {_decoded(key): _decoded(each) for key, each in content}
        case "array":
            return array("q", content)
        case "bytes":
            return bytes.fromhex(content)
    if isinstance(content, dict):
        return CLASSES[name](**{field: _decoded(each) for field, each in content.items()})
    return CLASSES[name](content)
