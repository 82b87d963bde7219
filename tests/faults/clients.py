"""Callers of the CNI routes that need no process: many of them fit into one test."""

import http.client
import json
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

T = TypeVar("T")

SECONDS = 60.0
TRY_AGAIN = 11
NOTHING_FREE = 100
OVERTAKEN = 104


class Unanswered(Exception):
    """A call of which nobody knows whether it was carried out."""


@dataclass(frozen=True)
class Answer:
    """What ipamd said; `code` is 0 for a yes."""

    body: dict[str, Any]

    @property
    def code(self) -> int:
        code: int = self.body.get("code", 0)
        return code

    @property
    def msg(self) -> str:
        msg: str = self.body.get("msg", "")
        return msg

    @property
    def addresses(self) -> tuple[str, ...]:
        """The addresses given, without prefix length, in the order of the answer."""
        return tuple(entry["address"].split("/")[0] for entry in self.body.get("ips", ()))

    @property
    def address(self) -> str:
        """The one address given."""
        [address] = self.addresses
        return address


@dataclass(frozen=True)
class Node:
    """Where calls come from: their order is that of this boot's clock."""

    name: str
    cluster: str = "default"
    boot: str = field(default_factory=lambda: str(uuid.uuid4()))

    def issued(self) -> dict[str, Any]:
        """The moment now, as the plugin takes it when it starts."""
        return {"boot": self.boot, "uptime_ns": time.clock_gettime_ns(time.CLOCK_BOOTTIME)}


class Caller:
    """Calls of one node over one connection at a time, each with a yes, a no, or `Unanswered`."""

    def __init__(self, port: int, node: Node, pools: Sequence[str | Sequence[str]], network: str = "pods"):
        self.node = node
        self._network = network
        self._pools = [pool if isinstance(pool, str) else list(pool) for pool in pools]
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)

    def add(self, container: str, **more: Any) -> Answer:
        return self.call("add", self.body(container, **more))

    def delete(self, container: str, **more: Any) -> Answer:
        return self.call("del", self.body(container, **more))

    def call(self, verb: str, body: dict[str, Any]) -> Answer:
        """Make a call with a body that may be an older call's; raises Unanswered."""
        try:
            self.send(verb, body)
            return self.receive()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise Unanswered(f"{verb} of {body['container_id']}: {error!r}") from error

    def body(self, container: str, **more: Any) -> dict[str, Any]:
        """The body of a call issued now, in the envelope of the plugin."""
        ipam = {"type": "ipamd-ipam", "pools": self._pools}
        return {
            "container_id": container,
            "netns": f"/run/netns/{container}",
            "ifname": "eth0",
            "path": "/opt/cni/bin",
            "cluster": self.node.cluster,
            "node": self.node.name,
            "issued": self.node.issued(),
            "config": {"cniVersion": "1.0.0", "name": self._network, "ipam": ipam},
            **more,
        }

    def send(self, verb: str, body: dict[str, Any]) -> None:
        """Send a request without waiting for its answer."""
        data = json.dumps(body)
        self._connection.request("POST", f"/v1/cni/{verb}", data, {"Content-Type": "application/json"})

    def receive(self) -> Answer:
        """The answer to the request that was sent; a status without a CNI object is none."""
        response = self._connection.getresponse()
        data = response.read()
        if response.status == http.client.NO_CONTENT:
            return Answer({})
        body = json.loads(data)
        if "ips" not in body and not isinstance(body.get("code"), int):
            raise Unanswered(f"{response.status} {data[:500]!r}")
        return Answer(body)

    def close(self) -> None:
        self._connection.close()


def at_once(works: Sequence[Callable[[], T]]) -> list[T]:
    """Do all of it at the same moment, each in a thread of its own; the first failure is raised."""
    start = threading.Barrier(len(works))

    def begin(work: Callable[[], T]) -> T:
        start.wait(SECONDS)
        return work()

    with ThreadPoolExecutor(len(works)) as threads:
        return list(threads.map(begin, works))
