"""What the agent asks ipamd, and says to it, about the pod network."""

from __future__ import annotations

import json
from http import HTTPStatus
from importlib.metadata import version
from typing import Final
from urllib.parse import quote, urlencode

from node_agent.node import Node
from node_agent.pod_network.announced import changes, read
from node_agent.pod_network.network import Network
from node_agent.pod_network.uplink import Uplink
from node_agent.relay.membership import Membership
from node_agent.relay.own_calls import OwnCalls, sentence_of
from node_agent.relay.upstream import Refused, Upstream

_SECONDS: Final = 10.0
_WAIT_SECONDS: Final = 30
_TOO_OLD: Final = HTTPStatus.GONE


class TooOld(Exception):
    """The changes since what is known are not kept any more, or are another database's: read all again."""


class NetworkCalls:
    """One cluster's pod network at ipamd, as one of its nodes sees it.

    All methods raise Silent if ipamd does not answer, Refused if it says no, Malformed if its answer
    cannot be read.
    """

    def __init__(self, node: Node, machine: str, upstream: Upstream, membership: Membership) -> None:
        self._node = node
        self._machine = machine
        self._calls = OwnCalls(upstream, membership)
        # By the node and its machine ipamd knows who lives.
        self._whose = urlencode({"cluster": node.cluster, "node": node.name, "machine": machine})

    async def whole(self) -> Network:
        """All of it, as it was some seconds ago."""
        return read(await self._ask("GET", f"/v1/network?{self._whose}"))

    async def changed(self, network: Network) -> Network:
        """The network after the next changes, or the same after half a minute without. Raises TooOld."""
        since = urlencode({"epoch": network.epoch, "after": network.number, "wait": _WAIT_SECONDS})
        path = f"/v1/network/changes?{self._whose}&{since}"
        return changes(network, await self._ask("GET", path, seconds=_WAIT_SECONDS + _SECONDS))

    def is_announced(self, network: Network, uplink: Uplink, mac: bytes) -> bool:
        """Whether this node is announced as it is reached."""
        own = network.nodes.get(self._node.name)
        return own is not None and (
            (own.machine, own.address, set(own.prefixes), own.mtu, own.mac)
            == (self._machine, uplink.address, set(uplink.prefixes), uplink.mtu, mac)
        )

    def is_complete(self, network: Network, uplink: Uplink, mac: bytes) -> bool:
        """Whether it is, and has an address of its own of each family that pods have."""
        own = network.nodes.get(self._node.name)
        return own is not None and self.is_announced(network, uplink, mac) and network.is_complete(own)

    async def publish(self, uplink: Uplink, mac: bytes) -> None:
        """Say how this node is reached. ipamd then knows its address among pods, and its first blocks."""
        document = {
            "machine": self._machine,
            "address": str(uplink.address),
            "prefixes": [str(one) for one in uplink.prefixes],
            "mtu": uplink.mtu,
            "mac": mac.hex(":"),
            "version": version("ipamd"),
        }
        cluster, name = (quote(part, safe="") for part in (self._node.cluster, self._node.name))
        path = f"/v1/network/nodes/{cluster}/{name}"
        await self._ask("PUT", path, document)

    async def _ask(self, method: str, path: str, document: object = None, seconds: float = _SECONDS) -> bytes:
        body = b"" if document is None else json.dumps(document).encode()
        answer = await self._calls.ask(method, path, body, seconds)
        if answer.status == _TOO_OLD:
            raise TooOld
        if answer.status >= HTTPStatus.BAD_REQUEST:
            raise Refused(sentence_of(answer))
        return answer.body
