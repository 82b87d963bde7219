"""Why a node may not join, speak, be forgotten, or have new addresses."""

from __future__ import annotations

from ipamd.models.errors.domain_error import DomainError
from ipamd.models.instant import Instant, rfc3339


class NodeJoined(DomainError):
    """A node joined under this name with another proof."""

    code = "node-joined"

    def __init__(self, cluster: str, node: str) -> None:
        super().__init__(
            f"node {node} of cluster {cluster} has joined with another proof or has a token: to let it join "
            f"again, run `ipamctl node forget {node} --cluster {cluster}`"
        )


class NodeShutOut(DomainError):
    """An admin revoked the last token of a node, which wants to join again."""

    code = "node-shut-out"

    def __init__(self, cluster: str, node: str) -> None:
        super().__init__(
            f"an admin revoked the token of node {node} of cluster {cluster}, so it stays out: to let it "
            f"join again, run `ipamctl node forget {node} --cluster {cluster}`"
        )


class NodeAlive(DomainError):
    """A node whose addresses are to be released called not long ago."""

    code = "node-alive"

    def __init__(self, name: str, heard: Instant) -> None:
        super().__init__(
            f"node {name!r} called at {rfc3339(heard)}, and its containers may still use their addresses: "
            "make sure that it is down, then set even_if_alive"
        )
        self.heard = heard


class CensusSettling(DomainError):
    """Another boot speaks for a node, and the present one may still live."""

    code = "census-settling"

    def __init__(self, node: str, seconds: int) -> None:
        super().__init__(
            f"another boot has spoken for node {node}, and may still live: speak again in {seconds} seconds"
        )
        self.seconds = seconds


class CensusTooOften(DomainError):
    """The agent of a node speaks again and again."""

    code = "census-too-often"

    def __init__(self, node: str, seconds: int) -> None:
        super().__init__(f"the agent of node {node} speaks too often: speak again in {seconds} seconds")
        self.seconds = seconds


class CensusSuperseded(DomainError):
    """Another machine speaks for a node."""

    code = "census-superseded"

    def __init__(self, node: str, machine: str, other: str) -> None:
        super().__init__(
            f"machine {other} speaks for node {node}, and this is machine {machine}: if that one is gone, "
            f"run `ipamctl node release {node} --why REASON`; if it lives, give the nodes different names"
        )


class NodeDraining(DomainError):
    """An address is asked for by a container of a node that gets nothing new."""

    code = "node-draining"

    def __init__(self, cluster: str, node: str) -> None:
        super().__init__(
            f"node {node} of cluster {cluster} is draining, so its containers get nothing new: run "
            f"`ipamctl node undrain {node} --cluster {cluster}`, or begin the container on another node"
        )
