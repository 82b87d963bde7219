"""Why a node takes no part in the pod network, or learns no changes of it."""

from __future__ import annotations

from ipamd.models.address import IPAddress
from ipamd.models.errors.domain_error import DomainError


class NodeNameTaken(DomainError):
    """Another machine that lives takes part in the pod network under this name."""

    code = "node-name-taken"

    def __init__(self, cluster: str, node: str, known: str, machine: str) -> None:
        super().__init__(
            f"machine {known} takes part as node {node} of cluster {cluster}, and machine {machine} wants "
            "the same name: give one of them another name, or stop the first for two minutes"
        )


class NodeAddressTaken(DomainError):
    """Another node that lives takes part in the pod network with this address."""

    code = "node-address-taken"

    def __init__(self, address: IPAddress, node: str, other: str) -> None:
        super().__init__(
            f"node {node} publishes {address}, which is the address of node {other}: give each an address of "
            "its own, or stop the other for two minutes"
        )


class NetworkChangesTooOld(DomainError):
    """Changes of a pod network are asked for after a number from which they are not known."""

    code = "network-changes-too-old"

    def __init__(self, after: int, number: int) -> None:
        super().__init__(
            f"the changes after {after} are not known any more (the latest is {number}): read all again, by "
            "GET /v1/network"
        )
