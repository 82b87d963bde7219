"""The bodies of `POST /v1/leases` and `POST /v1/leases/report`, and the answer to a node, without I/O.

What plugins said at the time comes along as they said it: an event that is odd must not keep back the others.
So of an event only what identifies it is checked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Raw, Struct

from ipamd.cni.arguments import read_args, read_workload
from ipamd.cni.configuration import Configuration, configuration_of
from ipamd.cni.error import CniError
from ipamd.models.allocation import Ending, NetworkNamespace, Workload
from ipamd.models.errors import InvalidValue
from ipamd.models.identity import Identity
from ipamd.models.issued import Issued
from ipamd.models.limits import CNI_NAME, INTERFACE_NAME, LONGEST_INTERFACE, LONGEST_NAME
from ipamd.models.node import NodeKey, node_name
from ipamd.models.outcome import Grant, Granted

MOST_SEATS: Final = 10_000
MOST_CONFIGURATIONS: Final = 256
MOST_EVENTS: Final = 10_000
LARGEST: Final = (1 << 62) - 1

Name = Annotated[str, Meta(pattern=r"^[^\x00-\x1f\x7f]+\Z", max_length=LONGEST_NAME)]
Word = Annotated[str, Meta(pattern=r"^[!-~]+\Z", max_length=128)]
Count = Annotated[int, Meta(ge=0, le=LARGEST)]
Key = Annotated[str, Meta(pattern=r"^[0-9a-f]{16,64}\Z")]


class SeatBody(Struct, forbid_unknown_fields=True):
    """A seat as a node has it."""

    seat: Count
    state: Literal["free", "taken", "returning"]


class ConfigurationBody(Struct, forbid_unknown_fields=True):
    """A network configuration, and how many free seats its node wants to have."""

    key: Key
    config: Raw
    free: Annotated[int, Meta(ge=0, le=1000)] = 0


class AskingBody(Struct, forbid_unknown_fields=True):
    """What a node says of its lease."""

    cluster: Name
    node: Name
    machine: Name
    boot: Word
    store: Word
    epoch: Count | None = None
    grant: Count = 0
    reported: Count = 0
    seats: Annotated[list[SeatBody], Meta(max_length=MOST_SEATS)] = []
    configurations: Annotated[list[ConfigurationBody], Meta(max_length=MOST_CONFIGURATIONS)] = []
    confirm: bool = False
    revision: Count = 0
    wait: Annotated[float, Meta(ge=0, le=60)] = 0.0

    @property
    def node_key(self) -> NodeKey:
        return NodeKey(self.cluster, node_name(self.node))


class IssuedBody(Struct):
    """When a call was issued."""

    boot: Word
    uptime_ns: Count
    time: Any = None


class WhoBody(Struct):
    """The call of an event, as its plugin got it. An end has the identity alone."""

    network: Annotated[str, Meta(pattern=f"^{CNI_NAME}\\Z", max_length=LONGEST_NAME)]
    container_id: Annotated[str, Meta(pattern=f"^{CNI_NAME}\\Z", max_length=256)]
    ifname: Annotated[str, Meta(pattern=f"^{INTERFACE_NAME}\\Z", max_length=LONGEST_INTERFACE)]
    netns_id: Any = None
    args: Any = None


class EventBody(Struct):
    """Something that a node did with a seat."""

    kind: Literal["begin", "repeat", "end"]
    seat: Count
    issued: IssuedBody
    age_ns: Count
    request: WhoBody
    ending: Literal["released", "undone", "collected"] = "released"


class ReportBody(Struct, forbid_unknown_fields=True):
    """Events of a node's store in their order, from number `first` on."""

    cluster: Name
    node: Name
    boot: Word
    store: Word
    epoch: Count
    first: Annotated[int, Meta(ge=1, le=LARGEST)]
    events: Annotated[list[EventBody], Meta(max_length=MOST_EVENTS)] = []

    @property
    def node_key(self) -> NodeKey:
        return NodeKey(self.cluster, node_name(self.node))


_ASKING: Final = msgspec.json.Decoder(AskingBody)
_REPORT: Final = msgspec.json.Decoder(ReportBody)


def configuration(raw: bytes) -> Configuration:
    """A configuration whose ADDs would not be refused for what stands in it. Raises CniError, ValueError."""
    config = configuration_of(raw)
    config.check()
    return config


def read_asking(raw: bytes) -> AskingBody:
    """The body of `POST /v1/leases`. Raises InvalidValue."""
    try:
        return _ASKING.decode(raw)
    except ValueError as error:  # msgspec's errors are such
        raise InvalidValue("body", str(error)) from None


def read_report(raw: bytes) -> ReportBody:
    """The body of `POST /v1/leases/report`. Raises InvalidValue."""
    try:
        return _REPORT.decode(raw)
    except ValueError as error:
        raise InvalidValue("body", str(error)) from None


def identity_of(who: WhoBody, node: NodeKey) -> Identity:
    """The holder of an event."""
    return Identity(node.cluster, who.network, node.name, who.container_id, who.ifname)


def issued_of(body: IssuedBody) -> Issued:
    """The moment of a call."""
    return Issued(body.boot.lower(), body.uptime_ns)


def ending_of(event: EventBody) -> Ending:
    """Why a container ended."""
    return Ending(event.ending)


def workload_of(who: WhoBody) -> Workload:
    """The pod of an event; nobody if its arguments cannot be read."""
    try:
        return read_workload(read_args(who.args))
    except CniError:
        return Workload()


def namespace_of(who: WhoBody) -> NetworkNamespace | None:
    """The network namespace of an event, None if the plugin did not know it."""
    match who.netns_id:
        case [int(device), int(inode)] if 0 <= device <= LARGEST and 0 <= inode <= LARGEST:
            return NetworkNamespace(device, inode)
        case _:
            return None


def answer_of(configuration: bytes, grants: tuple[Grant, ...]) -> Raw:
    """The result that an ADD with this configuration would get. Raises CniError."""
    config = configuration_of(configuration)
    return Raw(config.results.encode(Granted(grants, repeated=False), config.version))


def encoded(document: Mapping[str, Any]) -> bytes:
    """An answer as JSON."""
    return msgspec.json.encode(document)
