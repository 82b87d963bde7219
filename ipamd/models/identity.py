"""Who holds an address."""

from __future__ import annotations

import re
from functools import lru_cache
from hashlib import blake2b
from typing import Final

from msgspec import Struct

from ipamd.models.limits import LONGEST_NAME, OWNER_NAME
from ipamd.models.node import NodeKey

Digest = bytes
"""16 bytes that identify a holder in every index."""

DIGEST_SIZE: Final = 16

NODE_OWNER: Final = "node"
"""Owners named `node:CLUSTER/NAME` are nodes, with their own addresses in the pod network."""

CONTAINER_SIZE: Final = 8
"""How many bytes of a digest come from the container ID. So the index of holders finds containers too."""


def digest_of(*parts: str) -> Digest:
    """A digest of several texts with their lengths, so that no two lists of texts have the same one."""
    return blake2b(b"".join(map(_with_length, parts)), digest_size=DIGEST_SIZE).digest()


def _with_length(part: str) -> bytes:
    encoded = part.encode("utf-8", "surrogatepass")
    return len(encoded).to_bytes(4, "big") + encoded


@lru_cache(maxsize=4096)
def _begun(cluster: str, network: str, node: str) -> blake2b:
    """The digest of an identity after its first parts: a node's calls share them."""
    parts = map(_with_length, (cluster, network, node))
    return blake2b(b"".join(parts), digest_size=DIGEST_SIZE)


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
        container = _with_length(self.container_id)
        whole = _begun(self.cluster, self.network, self.node).copy()
        whole.update(container + _with_length(self.ifname))
        part = blake2b(container, digest_size=DIGEST_SIZE).digest()[:CONTAINER_SIZE]
        return part + whole.digest()[CONTAINER_SIZE:]

    @property
    def node_key(self) -> NodeKey:
        return NodeKey(self.cluster, self.node)


class Owner(Struct, frozen=True, gc=False):
    """A holder that is not a container: a VM, a device, a load balancer.

    The digest is made before the request is queued, from the idempotency key if there is one. So a repeated
    request is recognised, like that of a container. With a `cluster` it is an owner whom the workloads of a
    namespace may name: see `owner_in`.
    """

    name: str
    digest: Digest
    cluster: str | None = None

    @property
    def node_key(self) -> NodeKey | None:
        """The node of which this is the own address in the pod network, None of another owner."""
        kind, _, key = self.name.partition(":")
        cluster, slash, node = key.partition("/")
        return NodeKey(cluster, node) if kind == NODE_OWNER and slash else None


def owner_of_node(node: NodeKey, family: int) -> Owner:
    """The owner of a node's own address of a family: the same whenever it is asked for."""
    name = f"{NODE_OWNER}:{node.cluster}/{node.name}"
    return Owner(name, digest_of(name, str(family)))


OWNER_NAMES: Final = (
    f"write letters, digits, `.`, `_` or `-`, {LONGEST_NAME} at most, the first a letter or a digit"
)
"""Which names an owner may have whom workloads name."""


def is_owner_name(text: str) -> bool:
    """Tell whether workloads may name an owner so."""
    return len(text) <= LONGEST_NAME and re.fullmatch(OWNER_NAME, text) is not None


def owner_in(cluster: str, namespace: str, name: str) -> Owner:
    """The owner whom workloads of a namespace name so."""
    return Owner(name, digest_of("owner", cluster, namespace, name), cluster)


Holder = Identity | Owner
