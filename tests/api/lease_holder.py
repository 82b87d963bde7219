"""A node with a lease, as its agent speaks for it: what it was told it keeps, what it did it reports."""

import itertools
from typing import Any

import httpx

from tests.api.plugin_call import BOOT

CONFIG: dict[str, Any] = {"cniVersion": "1.1.0", "name": "pods", "ipam": {"type": "ipamd-ipam"}}
KEY = "0a" * 16

_nodes = itertools.count(1)


class LeaseHolder:
    """One node's store, without its faults."""

    def __init__(self, http: httpx.Client, pool: str, *, free: int = 2, boot: str = BOOT) -> None:
        self.http = http
        self.node = f"holder-{next(_nodes)}"
        self.machine, self.boot, self.store = f"machine of {self.node}", boot, "store-1"
        self.config = {**CONFIG, "ipam": {**CONFIG["ipam"], "pools": [pool]}}
        self.free = free
        self.epoch: int | None = None
        self.grant = self.revision = self.reported = 0
        self.results: dict[int, Any] = {}
        self.states: dict[int, str] = {}
        self.events: list[dict[str, Any]] = []

    def body(self, **changes: Any) -> dict[str, Any]:
        """All that the node says."""
        said = {
            "cluster": "default",
            "node": self.node,
            "machine": self.machine,
            "boot": self.boot,
            "store": self.store,
            "epoch": self.epoch,
            "grant": self.grant,
            "reported": self.reported,
            "revision": self.revision,
            "seats": [{"seat": number, "state": state} for number, state in self.states.items()],
            "configurations": [{"key": KEY, "config": self.config, "free": self.free}],
        }
        return said | changes

    def post(self, **changes: Any) -> httpx.Response:
        """Ask, and forget the answer."""
        return self.http.post("/v1/leases", json=self.body(**changes))

    def ask(self, **changes: Any) -> dict[str, Any]:
        """Ask, and do as is told."""
        answer = self.post(**changes)
        assert answer.status_code == httpx.codes.OK, answer.text
        told: dict[str, Any] = answer.json()
        self.epoch, self.revision = told["epoch"], told["revision"]
        if told["seats"]:
            assert told["grant"] == self.grant + 1
            self.grant = told["grant"]
        for seat in told["seats"]:
            self.states.setdefault(seat["seat"], "free")
            self.results[seat["seat"]] = seat["result"]
        for number in told["returned"]:
            del self.states[number], self.results[number]
        return told

    def address(self, seat: int) -> str:
        """The first address of a seat."""
        address: str = self.results[seat]["ips"][0]["address"]
        return address.partition("/")[0]

    def begin(self, seat: int, container_id: str, uptime_ns: int, age_ns: int = 0, args: str = "") -> None:
        """A container takes a seat."""
        self.states[seat] = "taken"
        request = {"netns": f"/run/netns/{container_id}", "netns_id": [4, 77], "args": args, "path": "/opt"}
        self._happened("begin", seat, container_id, uptime_ns, age_ns, **request)

    def end(
        self, seat: int, container_id: str, uptime_ns: int, age_ns: int = 0, ending: str = "released"
    ) -> None:
        """A container ends."""
        self.states[seat] = "free"
        self._happened("end", seat, container_id, uptime_ns, age_ns)
        self.events[-1]["ending"] = ending

    def repeat(self, seat: int, container_id: str, uptime_ns: int) -> None:
        """A container's ADD comes again."""
        self._happened("repeat", seat, container_id, uptime_ns, 0)

    def _happened(
        self, kind: str, seat: int, container_id: str, uptime_ns: int, age_ns: int, **request: Any
    ) -> None:
        self.events.append(
            {
                "kind": kind,
                "seat": seat,
                "issued": {"boot": self.boot, "uptime_ns": uptime_ns, "time": "2026-01-31T12:00:00Z"},
                "age_ns": age_ns,
                "request": {"network": "pods", "container_id": container_id, "ifname": "eth0", **request},
            }
        )

    def report_body(self, **changes: Any) -> dict[str, Any]:
        """All events that are not acknowledged."""
        said = {
            "cluster": "default",
            "node": self.node,
            "boot": self.boot,
            "store": self.store,
            "epoch": self.epoch,
            "first": self.reported + 1,
            "events": self.events,
        }
        return said | changes

    def report(self) -> dict[str, Any]:
        """Report all of it, and keep what is not acknowledged."""
        answer = self.http.post("/v1/leases/report", json=self.report_body())
        assert answer.status_code == httpx.codes.OK, answer.text
        said: dict[str, Any] = answer.json()
        self.events = self.events[said["acknowledged"] - self.reported :]
        self.reported = said["acknowledged"]
        return said
