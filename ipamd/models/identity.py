"""Who holds an address."""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

from msgspec import Struct

from ipamd.models.node import NodeKey

Digest = bytes
"""16 bytes that identify a holder in every index."""

DIGEST_SIZE: Final = 16

CONTAINER_SIZE: Final = 8
"""How many bytes of a digest come from the container ID. So the index of holders finds containers too."""


def digest_of(*parts: str) -> Digest:
    """A digest of several texts with their lengths, so that no two lists of texts have the same one."""
    pieces: list[bytes] = []
    for part in parts:
        encoded = part.encode() if part.isascii() else part.encode("utf-8", "surrogatepass")
        pieces += (len(encoded).to_bytes(4, "big"), encoded)
    return blake2b(b"".join(pieces), digest_size=DIGEST_SIZE).digest()


def container_part(container_id: str) -> bytes:
    """The first bytes of all digests of a container, whatever its node, network and interface."""
    return digest_of(container_id)[:CONTAINER_SIZE]


class Identity(Struct, frozen=True, gc=False):
    """One interface of one container on one node, in one CNI network of one cluster."""

    cluster: str
    network: str
    node: str
    container_id: str
    ifname: str

    @property
    def digest(self) -> Digest:
        whole = digest_of(self.cluster, self.network, self.node, self.container_id, self.ifname)
        return container_part(self.container_id) + whole[CONTAINER_SIZE:]

    @property
    def node_key(self) -> NodeKey:
        return NodeKey(self.cluster, self.node)


class Owner(Struct, frozen=True, gc=False):
    """A holder that is not a container: a VM, a device, a load balancer.

    The digest is made before the request is queued, from the idempotency key if there is one. So a repeated
    request is recognised, like that of a container.
    """

    name: str
    digest: Digest


Holder = Identity | Owner
