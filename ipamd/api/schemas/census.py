"""Censuses as JSON: an agent of every node sends one each minute, so they are read and written by msgspec."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct
from pydantic import Field
from typing_extensions import TypedDict

from ipamd.api.schemas.text import Document, NodeName, Note, Word
from ipamd.engine.allocation.adoption import Attachment
from ipamd.engine.census.receipt import LONGEST
from ipamd.engine.census.spoken import Answered, Spoken
from ipamd.engine.census.verdict import Named
from ipamd.models.address import LONGEST_TEXT, parse_address, parse_network
from ipamd.models.allocation import Allocation, NetworkNamespace, Workload
from ipamd.models.errors import InvalidValue
from ipamd.models.identity import Identity
from ipamd.models.issued import Issued
from ipamd.models.limits import CNI_NAME, INTERFACE_NAME, LONGEST_INTERFACE, LONGEST_NAME, MOST_ADDRESSES
from ipamd.models.node import NodeKey, node_name
from ipamd.models.request import PrefixRequest

MOST_DEAD: Final = 5000
MOST_LIVING: Final = 2000
LARGEST: Final = (1 << 62) - 1

_Name = Annotated[str, Meta(pattern=r"^[^\x00-\x1f\x7f]+\Z", max_length=LONGEST_NAME)]
_Boot = Annotated[str, Meta(pattern=r"^[!-~]+\Z", max_length=128)]
_Timeline = Annotated[str, Meta(pattern=r"^[!-~]*\Z", max_length=128)]
_Receipt = Annotated[str, Meta(pattern=r"^[!-~]+\Z", max_length=LONGEST)]
_Count = Annotated[int, Meta(ge=0, le=LARGEST)]


class HeldQuery(Document):
    """Which node, and which part of what its containers hold."""

    cluster: Word
    node: NodeName
    after: int = Field(0, ge=0, le=LARGEST, strict=False, description="The id of the last row that is known.")
    limit: int = Field(1000, ge=1, le=5000, strict=False)


class FreeDead(Document):
    """Why what a node said is dead is freed now."""

    why: Note = Field(description="Kept in history as `reason`.")


class IssuedBody(Struct, forbid_unknown_fields=True):
    """When a look began, by the node's clock."""

    boot: _Boot
    uptime_ns: _Count


class DeadBody(Struct, forbid_unknown_fields=True):
    """An allocation whose container is dead, as `GET /v1/census` told of it."""

    id: _Count
    generation: _Count
    taken: _Count


class LivingBody(Struct, forbid_unknown_fields=True):
    """An interface of a container that lives, with its addresses, and its prefix if it has one."""

    network: Annotated[str, Meta(pattern=f"^{CNI_NAME}\\Z", max_length=LONGEST_NAME)]
    container_id: Annotated[str, Meta(pattern=f"^{CNI_NAME}\\Z", max_length=256)]
    ifname: Annotated[str, Meta(pattern=f"^{INTERFACE_NAME}\\Z", max_length=LONGEST_INTERFACE)]
    addresses: Annotated[list[str], Meta(min_length=1, max_length=MOST_ADDRESSES)]
    netns: tuple[_Count, _Count] | None = None
    namespace: _Name | None = None
    name: _Name | None = None
    uid: _Name | None = None
    prefix: Annotated[str, Meta(max_length=LONGEST_TEXT)] | None = None


class Speaking(Struct):
    """Who speaks. All else in a body is left out."""

    cluster: _Name
    node: _Name

    @property
    def node_key(self) -> NodeKey:
        return NodeKey(self.cluster, node_name(self.node))


class CensusBody(Speaking, forbid_unknown_fields=True):
    """What a node says of itself."""

    machine: _Name
    issued: IssuedBody
    timeline: _Timeline | None = None
    told: _Count = 0
    is_whole: bool = False
    receipt: _Receipt | None = None
    dead: Annotated[list[DeadBody], Meta(max_length=MOST_DEAD)] = []
    living: Annotated[list[LivingBody], Meta(max_length=MOST_LIVING)] = []


class ShownHeld(TypedDict):
    """An address that a container of the node holds.

    `taken` is the uptime in nanoseconds of the ADD that took it, `repeated` that of the last one. `boot` and
    `netns` (device and inode) say where the container lives, null if nobody said so.
    """

    id: int
    generation: int
    taken: int
    repeated: int
    boot: str | None
    netns: tuple[int, int] | None
    network: str
    container_id: str
    ifname: str
    address: str


class ShownHeldRows(TypedDict):
    """Rows by id. `more` says that there are further ones.

    `timeline` is another one after a database was put back: then what was read before counts no more.
    """

    timeline: str
    rows: list[ShownHeld]
    more: bool


class ShownConflict(TypedDict):
    """A container that lives and uses an address which is not its own in the tables, and why."""

    network: str
    container_id: str
    ifname: str
    address: str
    why: str


class ShownAnswer(TypedDict):
    """What became of a census. `adopted` living interfaces have their addresses from now on.

    `gone` are ids that have ended, `changed` are not what the node has seen: it reads them again. `waiting`
    counts those that wait for an admin, since more than half of what the node holds would go. The agent
    shows the `receipt` with its next census. If the census `is_anew`, as after an admin has removed the node,
    the agent reads all again.
    """

    freed: int
    gone: list[int]
    changed: list[int]
    waiting: int
    adopted: int
    conflicts: list[ShownConflict]
    receipt: str
    is_anew: bool


class ShownFreed(TypedDict):
    """How many addresses were freed."""

    cluster: str
    name: str
    released: int


BODY: Final = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "description": "`machine` tells this machine from others of the node's name, `issued` is "
                    "when the look began, `dead` are all allocations whose containers are gone: with `id`, "
                    "`generation` and `taken`. `living` are interfaces that live and are not in the list, "
                    "with `network`, `container_id`, `ifname`, `addresses`, and `prefix` if there is one "
                    "beside them. `timeline` is that of the "
                    "list, `told` its highest id ever in it, and `is_whole` says that all that lives is seen "
                    "and named. `receipt` is the one of the last answer.",
                    "required": ["cluster", "node", "machine", "issued"],
                }
            }
        },
    }
}

_BODY: Final = msgspec.json.Decoder(CensusBody)
_SPEAKING: Final = msgspec.json.Decoder(Speaking)


def who_speaks(raw: bytes) -> NodeKey:
    """Whose census a body is, which costs a tenth of reading all of it. Raises InvalidValue."""
    try:
        return _SPEAKING.decode(raw).node_key
    except ValueError as error:
        raise InvalidValue("body", str(error)) from None


def read(raw: bytes) -> Spoken:
    """The body of `POST /v1/census`. Raises InvalidValue."""
    try:
        body = _BODY.decode(raw)
    except ValueError as error:  # msgspec's errors are such
        raise InvalidValue("body", str(error)) from None
    return Spoken(
        node=body.node_key,
        machine=body.machine,
        issued=Issued(body.issued.boot.lower(), body.issued.uptime_ns),
        dead=[Named(each.id, each.generation, each.taken) for each in body.dead],
        living=[_attachment(each, body) for each in body.living],
        timeline=body.timeline,
        told=body.told,
        is_whole=body.is_whole,
        receipt=body.receipt,
    )


def _attachment(living: LivingBody, body: CensusBody) -> Attachment:
    cluster, node = body.node_key
    try:
        addresses = tuple(map(parse_address, living.addresses))
        prefix = parse_network(living.prefix) if living.prefix is not None else None
    except ValueError as error:
        raise InvalidValue("living", str(error)) from None
    return Attachment(
        Identity(cluster, living.network, node, living.container_id, living.ifname),
        addresses,
        Workload(living.namespace, living.name, living.uid),
        body.issued.boot.lower(),
        NetworkNamespace(*living.netns) if living.netns is not None else None,
        PrefixRequest(prefix.prefixlen, first=prefix[0]) if prefix is not None else None,
    )


def held_document(timeline: str, rows: Sequence[Allocation], limit: int) -> bytes:
    """A part of what a node's containers hold; `rows` may have one more than `limit`."""
    told = list(map(_held, rows[:limit]))
    return msgspec.json.encode({"timeline": timeline, "rows": told, "more": len(rows) > limit})


def answer_document(answered: Answered) -> bytes:
    """What became of a census."""
    return msgspec.json.encode(
        {
            "freed": answered.freed,
            "gone": answered.gone,
            "changed": answered.changed,
            "waiting": answered.waiting,
            "adopted": answered.adopted,
            "conflicts": answered.conflicts,
            "receipt": answered.receipt,
            "is_anew": answered.is_anew,
        }
    )


def _held(row: Allocation) -> dict[str, Any]:
    holder, netns = row.holder, row.netns
    assert isinstance(holder, Identity)  # only containers' rows are asked for
    return {
        "id": row.id,
        "generation": row.generation,
        "taken": row.taken.uptime_ns,
        "repeated": row.repeated.uptime_ns,
        "boot": row.boot,
        "netns": None if netns is None else (netns.device, netns.inode),
        "network": holder.network,
        "container_id": holder.container_id,
        "ifname": holder.ifname,
        "address": str(row.address),
    }
