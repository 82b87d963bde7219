"""An import as JSON: the addresses that containers use, and what became of them."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field
from typing_extensions import TypedDict

from ipamd.api.schemas.text import Address, Document, Name, NodeName, Word
from ipamd.engine.allocation.adoption import Adopted, Attachment
from ipamd.models.address import parse_address
from ipamd.models.allocation import Workload
from ipamd.models.identity import Identity
from ipamd.models.limits import CNI_NAME, INTERFACE_NAME, LONGEST_INTERFACE, LONGEST_NAME, MOST_ADDRESSES
from ipamd.models.pool import DEFAULT_CLUSTER, DEFAULT_SPACE

MOST_ATTACHMENTS: Final = 500

CniName = Annotated[str, Field(pattern=f"^{CNI_NAME}$", max_length=LONGEST_NAME)]
"""A network's name or a container's ID (CNI 1.1.0, "Parameters")."""

InterfaceName = Annotated[Word, Field(pattern=f"^{INTERFACE_NAME}$", max_length=LONGEST_INTERFACE)]


class GoneInterface(Document):
    """One interface of a container that is gone."""

    container_id: CniName
    network: CniName
    ifname: InterfaceName


class UsedAddresses(GoneInterface):
    """One interface of a container, and its addresses."""

    addresses: Annotated[list[Address], Field(min_length=1, max_length=MOST_ADDRESSES)]
    namespace: Word | None = None
    name: Word | None = None
    uid: Word | None = None


class Import(Document):
    """What the containers of a node use. With `dry_run` nothing is taken."""

    node: NodeName
    cluster: Word = DEFAULT_CLUSTER
    space: Name = DEFAULT_SPACE
    dry_run: bool = False
    attachments: list[UsedAddresses] = Field(default_factory=list, max_length=MOST_ATTACHMENTS)
    gone: list[GoneInterface] = Field(
        default_factory=list,
        max_length=MOST_ATTACHMENTS,
        description="Whose addresses are given back, if an import took them.",
    )

    def _identity(self, each: GoneInterface) -> Identity:
        return Identity(self.cluster, each.network, self.node, each.container_id, each.ifname)

    def gone_identities(self) -> list[Identity]:
        """The identities of what is gone."""
        return [self._identity(each) for each in self.gone]

    def values(self) -> list[Attachment]:
        """The same as values."""
        return [
            Attachment(
                self._identity(each),
                tuple(dict.fromkeys(map(parse_address, each.addresses))),
                Workload(each.namespace, each.name, each.uid),
            )
            for each in self.attachments
        ]


class ShownRival(TypedDict):
    """Who holds an address that an attachment uses."""

    allocation: int | None
    held_by: str


class ShownAdopted(TypedDict):
    """What became of an attachment; `holder` is who stands in the way."""

    container_id: str
    network: str
    ifname: str
    namespace: str | None
    name: str | None
    outcome: str
    addresses: list[str]
    outside: list[str]
    why: str | None
    holder: ShownRival | None


class ShownImport(TypedDict):
    """What was done, or with `dry_run` would be."""

    dry_run: bool
    items: list[ShownAdopted]


def document_of(adopted: Adopted) -> ShownAdopted:
    """What became of an attachment; `holder` is who stands in the way."""
    identity, rival = adopted.attachment.identity, adopted.rival
    return {
        "container_id": identity.container_id,
        "network": identity.network,
        "ifname": identity.ifname,
        "namespace": adopted.attachment.workload.namespace,
        "name": adopted.attachment.workload.name,
        "outcome": adopted.standing.value,
        "addresses": [str(address) for address in adopted.inside],
        "outside": [str(address) for address in adopted.outside],
        "why": adopted.why,
        "holder": None if rival is None else {"allocation": rival.id, "held_by": rival.held_by},
    }
