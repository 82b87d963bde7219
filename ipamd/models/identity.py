"""Who holds an address."""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

from msgspec import Struct

from ipamd.models.node import NodeKey

Digest = bytes
"""16 bytes that stand for a holder in every index."""

DIGEST_SIZE: Final = 16

CONTAINER_SIZE: Final = 8
"""So many bytes of a digest are its container ID's: what holders are found by finds containers too."""


def digest_of(*parts: str) -> Digest:
    """The digest over several texts, each with its length, so that no two lists of texts share one."""
    pieces: list[bytes] = []
    for part in parts:
        encoded = part.encode() if part.isascii() else part.encode("utf-8", "surrogatepass")
        pieces += (len(encoded).to_bytes(4, "big"), encoded)
    return blake2b(b"".join(pieces), digest_size=DIGEST_SIZE).digest()


def container_part(container_id: str) -> bytes:
    """How the digests of a container's identities begin, whatever its node, network and interface."""
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
    """Something that is no container and holds an address: a VM, a device, a load balancer.

    The digest is made before the request is queued, from the idempotency key where there is one, so that
    a repeated request is recognised as a container's is.
    """

    name: str
    digest: Digest


Holder = Identity | Owner
